"""The options of a model as callers may write them: checked, and brought into one form."""

import datetime as dt
from collections.abc import Iterable
from typing import Any, Literal, Protocol, cast

import pandas as pd

from bayes_clv import arguments
from bayes_clv.data.dates import as_date
from bayes_clv.errors import InputError
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.posterior.choices import AUTO
from bayes_clv.segments.estimators import KMeansSegmenter, RFMSegmenter
from bayes_clv.segments.rules import SegmentRule


class Segmenter(Protocol):
    """A scikit-learn estimator that learns a rule."""

    rule_: SegmentRule

    def fit(self, X: pd.DataFrame) -> Any:
        """Learn from states."""
        ...


type Segmentation = Segmenter | Literal["rfm", "kmeans", "column"] | None
type DropoutRule = Dropout | Literal["auto"]
type Landmarks = int | Iterable[dt.date | str]


def settled_segmenter(given: object) -> Segmenter | Literal["column"] | None:
    """Return an estimator as it is, and the one that ``"rfm"`` or ``"kmeans"`` names.

    Raises
    ------
    InputError
        ``given`` is no estimator, none of these words and not ``"column"`` or None.

    Examples
    --------
    >>> settled_segmenter("rfm")
    RFMSegmenter()
    """
    if given is None or (isinstance(given, str) and given == "column"):
        return cast('Literal["column"] | None', given)
    if isinstance(given, str) and given in _SEGMENTERS:
        return cast(Segmenter, _SEGMENTERS[given]())
    if isinstance(given, str | type) or not callable(getattr(given, "fit", None)):
        raise InputError(
            'segmenter must be "rfm", "kmeans", "column", None, or an estimator such as '
            f"KMeansSegmenter(5): {arguments.shown(given)}"
        )
    return cast(Segmenter, given)


_SEGMENTERS: dict[str, type[Any]] = {"rfm": RFMSegmenter, "kmeans": KMeansSegmenter}


def settled_landmarks(given: object) -> int | tuple[dt.date, ...]:
    """Return the number of landmarks, or their dates, which may be given as ISO text.

    Raises
    ------
    InputError
        ``given`` is neither.

    Examples
    --------
    >>> settled_landmarks(["2024-01-31"])
    (datetime.date(2024, 1, 31),)
    """
    if isinstance(given, Iterable) and not isinstance(given, str | bytes):
        dates = tuple(as_date(date, "a landmark") for date in given)
        arguments.require(bool(dates), "landmarks must hold at least one date; got none")
        return dates
    if isinstance(given, str | bytes | dt.date):
        raise InputError(
            f"landmarks must be a number of landmarks or a list of dates: {arguments.shown(given)}"
        )
    return arguments.whole("landmarks", given, least=1)


def settled_dropout(given: object) -> DropoutRule:
    """Return a rule of leaving, given itself or as text, or ``"auto"``.

    Raises
    ------
    InputError
        ``given`` is neither.

    Examples
    --------
    >>> settled_dropout("after_any")
    <Dropout.AFTER_ANY: 'after_any'>
    """
    word = arguments.choice("dropout", given, [AUTO, *(rule.value for rule in Dropout)])
    return AUTO if word == AUTO else Dropout(word)


def settled_switch(name: str, given: object) -> bool | None:
    """Return an option that is on, off, or None where that depends on the segments.

    Raises
    ------
    InputError
        ``given`` is not True, False or None.
    """
    return None if given is None else arguments.flag(name, given)
