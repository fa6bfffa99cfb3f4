"""Frozen segment rules S(state) → segment.

A rule consists of plain numbers, serialises to JSON and is stored in the model file. It assigns a
customer whose monetary value is unknown by the other features. A code is an index into ``names``;
``POPULATION`` means that the rule assigns no segment and the population's parameters are used.

A rule with a ``bandwidth`` is soft: a state also belongs to neighbouring segments, with weights
that fall off smoothly (see ``segments.memberships``), so that answers do not jump where a segment
ends. The segment that a state is *named* after is the hard one, ``assign``, all the same.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import nan
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_clv.data.described import Described, listed
from bayes_clv.data.states import States
from bayes_clv.errors import InputError
from bayes_clv.segments import own
from bayes_clv.segments.cuts import Codes as Codes
from bayes_clv.segments.kmeans import KMeansRule as KMeansRule
from bayes_clv.segments.rfm import RFMRule as RFMRule
from bayes_clv.segments.weighted import Hard
from bayes_clv.segments.weighted import Weights as Weights

POPULATION = -1
POPULATION_NAME = "population"


def with_population(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names by code: those of the segments, then that of the population, which has code −1.

    Draws of parameters by segment have the same order.
    """
    return (*names, POPULATION_NAME)


class SegmentRule(Protocol):
    """Interface of all rules."""

    kind: ClassVar[str]

    @property
    def names(self) -> tuple[str, ...]:
        """The segments, in the order of their codes."""
        ...

    def assign(self, states: States) -> Codes:
        """Return each state's code, ``(customer,)``."""
        ...

    def assign_one(
        self, frequency: float, recency: float, T: float, monetary_value: float = nan
    ) -> int:
        """Return one state's code, the same as ``assign``, but faster because no array is made."""
        ...

    @property
    def soft(self) -> bool:
        """Whether a state belongs to several segments, with weights."""
        ...

    def weights(self, states: States) -> Weights:
        """Return how much each state belongs to each segment, ``(customer, segment)``.

        Rows sum to 1; a state without a segment has no weight anywhere. Hard rules give all weight
        to the segment that they assign.
        """
        ...

    def weights_one(
        self, frequency: float, recency: float, T: float, monetary_value: float = nan
    ) -> tuple[float, ...]:
        """Return one state's weights, the same as ``weights``, but faster."""
        ...


@dataclass(frozen=True, slots=True)
class PooledRule(Hard):
    """No segments: all customers share one set of parameters."""

    kind: ClassVar[str] = "none"
    names: tuple[str, ...] = ("all customers",)

    def assign(self, states: States) -> Codes:
        """Return 0 for every state."""
        return np.zeros(len(states), dtype=np.int64)

    def assign_one(
        self, frequency: float, recency: float, T: float, monetary_value: float = nan
    ) -> int:
        """Return 0."""
        return 0


@dataclass(frozen=True, slots=True, repr=False)
class ColumnRule(Hard, Described):
    """The user's own segments, read from a column and matched by value; see ``segments.own``.

    An unknown value has no segment.
    """

    kind: ClassVar[str] = "column"
    names: tuple[str, ...]

    def assign(self, states: States) -> Codes:
        """Return the code of each state's own segment name, ``(customer,)``."""
        if states.segment is None:
            return np.full(len(states), POPULATION, dtype=np.int64)
        return own.match_all(states.segment, self.names)

    def assign_one(
        self, frequency: float, recency: float, T: float, monetary_value: float = nan
    ) -> int:
        """Return ``POPULATION``: a state without a segment name has no segment."""
        return POPULATION

    def _facts(self) -> Mapping[str, object]:
        return {"segments": listed(self.names)}


def code_of(rule: SegmentRule, segment: Any) -> int:
    """Return the code of a segment's name, or of the population's.

    Raises
    ------
    InputError
        When the rule has no segment of this name.
    """
    name = own.match(segment, (*rule.names, POPULATION_NAME))
    if name == POPULATION_NAME:
        return POPULATION
    if name is None:
        raise InputError(
            f"segment must be one of {', '.join(rule.names)} or {POPULATION_NAME}: "
            f"{str(segment)[:100]!r}"
        )
    return rule.names.index(name)


def assign_named(rule: SegmentRule, states: States) -> Codes:
    """Return each state's code, ``(customer,)``: that of its own name where it has one.

    Warns if a rule of own segments does not know some of the names.

    Raises
    ------
    InputError
        A rule of own segments knows none of the names, or another rule does not know all of them.
    """
    codes = rule.assign(states)
    if isinstance(rule, ColumnRule):
        _check_matched(rule, states, codes)
        return codes
    given = given_names(states)
    if given is None or states.segment is None:
        return codes
    codes[given] = [code_of(rule, name) for name in states.segment[given]]
    return codes


def given_names(states: States) -> NDArray[np.bool_] | None:
    """Return which customers came with the name of a segment, ``(customer,)``; None if none did."""
    if states.segment is None:
        return None
    given: NDArray[np.bool_] = ~pd.isna(states.segment)
    return given if given.any() else None


def _check_matched(rule: ColumnRule, states: States, codes: Codes) -> None:
    """Warn of customers without a segment of the model, unless they are in the population by name.

    Raises
    ------
    InputError
        There are segments, and none is the model's.
    """
    if not (codes == POPULATION).any():
        return
    if states.segment is None:
        own.warn_of_unmatched(rule.names, len(states), {}, len(states))
        return
    values = [own.text_of(value) for value in states.segment[codes == POPULATION]]
    counts = Counter(value for value in values if value != POPULATION_NAME)
    own.warn_of_unmatched(rule.names, len(states), counts, counts.total())


_RULES: Mapping[str, type[Any]] = {
    rule.kind: rule for rule in (PooledRule, ColumnRule, RFMRule, KMeansRule)
}


def rule_to_dict(rule: SegmentRule) -> dict[str, Any]:
    """Return the rule as JSON-ready numbers and names."""
    return {"kind": rule.kind, **asdict(rule)}  # type: ignore[call-overload]


def rule_from_dict(stored: Mapping[str, Any]) -> SegmentRule:
    """Rebuild a rule from ``rule_to_dict``.

    Raises
    ------
    InputError
        When the kind is unknown or the fields do not fit.
    """
    # A rule without a bandwidth is hard: so were all rules of older models.
    fields = {key: _tuples(value) for key, value in stored.items() if key != "kind"}
    try:
        rule: SegmentRule = _RULES[stored["kind"]](**fields)
    except (InputError, KeyError, TypeError) as error:
        raise InputError(f"not a segment rule: {error}") from None
    return rule


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
