"""The verdict on a posterior's draws: the worst diagnostics, and the rules that they break.

The thresholds are those of Vehtari et al. (2021), Bayesian Analysis 16(2), for R-hat and ESS, and
of Betancourt (2016), arXiv:1604.00695, for E-BFMI. Up to one divergent draw in a thousand is a
remark; the coverage of intervals in that case is in "Divergences" in docs/calibration.md, which
``make sbc`` writes.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np

from bayes_clv.errors import UnsoundPosterior

MAX_R_HAT = 1.01
MIN_ESS = 400
MIN_E_BFMI = 0.3
MAX_DIVERGENT = 1 / 1000  # of the draws; and only on the last rung of the ladder
_NEARLY_MIXED = 1.05  # R-hat, above which more draws do not help


class _Rule(NamedTuple):
    figure: str
    name: str
    shown: str
    sign: str
    limit: float

    def holds(self, value: float) -> bool:
        """Whether the rule is kept; NaN breaks every rule."""
        return value < self.limit if self.sign == "<" else value > self.limit


_RULES = (
    _Rule("r_hat", "R-hat", ".4f", "<", MAX_R_HAT),
    _Rule("ess_bulk", "bulk ESS", ",.0f", ">", MIN_ESS),
    _Rule("ess_tail", "tail ESS", ",.0f", ">", MIN_ESS),
    _Rule("divergences", "divergences", "d", "<", 1),
    _Rule("e_bfmi", "E-BFMI", ".2f", ">", MIN_E_BFMI),
)


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """The worst diagnostics over all variables, and the verdict on them.

    Attributes
    ----------
    r_hat, ess_bulk, ess_tail, e_bfmi
        Worst over variables (over chains for E-BFMI); not a number where it cannot be computed.
    divergences
        Divergent transitions after tuning.
    complaints
        The rules that are broken, in words; empty for a sound posterior.
    remarks
        Notes about a posterior that is sound nevertheless.
    """

    r_hat: float
    ess_bulk: float
    ess_tail: float
    divergences: int
    e_bfmi: float
    complaints: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @classmethod
    def judged(
        cls,
        *,
        r_hat: float,
        ess_bulk: float,
        ess_tail: float,
        divergences: int,
        e_bfmi: float,
        n_draws: int,
        most_careful: bool,
    ) -> Self:
        """Apply the rules to the figures.

        Parameters
        ----------
        n_draws
            Number of draws, over all chains.
        most_careful
            Whether the draws are of the ladder's last rung: then a few divergences are a remark,
            since smaller steps would not end them.
        """
        figures = cls(r_hat, ess_bulk, ess_tail, divergences, e_bfmi, ())
        few = most_careful and 0 < divergences <= MAX_DIVERGENT * n_draws
        complaints, remarks = [], []
        for rule in _RULES:
            value = getattr(figures, rule.figure)
            if rule.holds(value):
                continue
            if rule.figure != "divergences":
                must = "below" if rule.sign == "<" else "above"
                complaints.append(
                    f"{rule.name} is {value:{rule.shown}}, it must be {must} {rule.limit}"
                )
            elif few:
                remarks.append(
                    f"{divergences} of {n_draws:,} transitions diverged, no more than 1 in "
                    f"{1 / MAX_DIVERGENT:,.0f}"
                )
            else:
                complaints.append(f"{divergences} divergent transitions, there must be none")
        return replace(figures, complaints=tuple(complaints), remarks=tuple(remarks))

    @property
    def sound(self) -> bool:
        """Whether the posterior can be trusted."""
        return not self.complaints

    @property
    def nearly_mixed(self) -> bool:
        """Whether more draws of the same kind may suffice: R-hat is close to its limit."""
        return self.r_hat < _NEARLY_MIXED and self.divergences == 0 and self.e_bfmi > MIN_E_BFMI

    @property
    def only_short(self) -> bool:
        """Whether only the effective sample size is too small, so that more draws suffice."""
        return min(self.ess_bulk, self.ess_tail) <= MIN_ESS and self.nearly_mixed

    @property
    def verdict(self) -> str:
        """The grade, and what it rests on, in words."""
        if not self.sound:
            return f"NOT SOUND, do not use: {'; '.join(self.complaints)}"
        return f"sound, with a remark: {'; '.join(self.remarks)}" if self.remarks else "sound"

    def lines(self) -> tuple[tuple[str, str, str], ...]:
        """Each figure for a reader: its name, its value, and what it must be."""
        return tuple(
            (
                rule.name,
                f"{getattr(self, rule.figure):{rule.shown}}",
                "0" if rule.figure == "divergences" else f"{rule.sign} {rule.limit}",
            )
            for rule in _RULES
        )

    def joined(self, other: "Diagnostics", label: str) -> "Diagnostics":
        """The worse of two verdicts in each figure; the words of the other are labelled."""
        return Diagnostics(
            float(np.maximum(self.r_hat, other.r_hat)),  # NaN stays NaN
            float(np.minimum(self.ess_bulk, other.ess_bulk)),
            float(np.minimum(self.ess_tail, other.ess_tail)),
            self.divergences + other.divergences,
            float(np.minimum(self.e_bfmi, other.e_bfmi)),
            self.complaints + tuple(f"{label}: {words}" for words in other.complaints),
            self.remarks + tuple(f"{label}: {words}" for words in other.remarks),
        )

    def require_sound(self, advice: str) -> None:
        """Raise UnsoundPosterior, with the complaints and ``advice``, where there are any."""
        if not self.sound:
            complaints = "; ".join(self.complaints)
            raise UnsoundPosterior(f"the posterior cannot be trusted ({complaints}); {advice}")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        words = {"complaints": list(self.complaints), "remarks": list(self.remarks)}
        return asdict(self) | words | {"sound": self.sound}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild from ``to_dict``; those from before there were remarks have none."""
        words = {name: tuple(stored.get(name, ())) for name in ("complaints", "remarks")}
        return cls(**{name: it for name, it in stored.items() if name != "sound"} | words)
