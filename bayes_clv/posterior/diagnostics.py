"""The sampler's diagnostics: the worst figures, the rules that they break, and the verdict.

The thresholds are those of Vehtari et al. (2021), Bayesian Analysis 16(2), for R-hat and ESS, and
of Betancourt (2016), arXiv:1604.00695, for E-BFMI. Up to one divergent draw in a thousand may be
accepted; "Divergences" in docs/calibration.md, which ``make sbc`` writes, gives the coverage of
intervals in such fits.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np

from bayes_clv.data.described import Described
from bayes_clv.errors import UnsoundPosterior

MAX_R_HAT = 1.01
MIN_ESS = 400
MIN_E_BFMI = 0.3
MAX_DIVERGENT = 1 / 1000  # of the draws; allowed only at the most careful sampler settings
_NEARLY_MIXED = 1.05  # from this R-hat on, more draws do not help


class _Rule(NamedTuple):
    figure: str
    name: str
    shown: str
    sign: str
    limit: float

    def holds(self, value: float) -> bool:
        """Whether the value satisfies the rule; NaN breaks every rule."""
        return value < self.limit if self.sign == "<" else value > self.limit


_RULES = (
    _Rule("r_hat", "R-hat", ".4f", "<", MAX_R_HAT),
    _Rule("ess_bulk", "bulk ESS", ",.0f", ">", MIN_ESS),
    _Rule("ess_tail", "tail ESS", ",.0f", ">", MIN_ESS),
    _Rule("divergences", "divergences", "d", "<", 1),
    _Rule("e_bfmi", "E-BFMI", ".2f", ">", MIN_E_BFMI),
)


@dataclass(frozen=True, slots=True, repr=False)
class Diagnostics(Described):
    """The sampler's worst figures over all variables, and the verdict on them.

    Attributes
    ----------
    r_hat, ess_bulk, ess_tail, e_bfmi
        Worst over variables (over chains for E-BFMI); NaN where it cannot be computed.
    divergences
        Divergent transitions after tuning.
    complaints
        The rules that are broken, in words; empty for a sound posterior.
    remarks
        Findings that do not make the posterior unsound, in words.
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
        """Compare the figures with the rules.

        Parameters
        ----------
        n_draws
            Number of draws, ``divergences`` of which diverged.
        most_careful
            Whether the sampler used its most careful settings. A few divergences are then a remark
            and not a complaint, since smaller steps would not remove them.
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
        """Whether more draws at the same settings might make the posterior sound."""
        return self.r_hat < _NEARLY_MIXED and self.divergences == 0 and self.e_bfmi > MIN_E_BFMI

    @property
    def only_short(self) -> bool:
        """Whether the ESS is too small and more draws at the same settings should suffice."""
        return min(self.ess_bulk, self.ess_tail) <= MIN_ESS and self.nearly_mixed

    @property
    def verdict(self) -> str:
        """Whether the posterior is sound, with the complaints or remarks, in words."""
        if not self.sound:
            return f"NOT SOUND, do not use: {'; '.join(self.complaints)}"
        return f"sound, with a remark: {'; '.join(self.remarks)}" if self.remarks else "sound"

    def lines(self) -> tuple[tuple[str, str, str], ...]:
        """Each figure as text: name, value, and the rule for it."""
        return tuple(
            (
                rule.name,
                f"{getattr(self, rule.figure):{rule.shown}}",
                "0" if rule.figure == "divergences" else f"{rule.sign} {rule.limit}",
            )
            for rule in _RULES
        )

    def joined(self, other: "Diagnostics", label: str) -> "Diagnostics":
        """Combine two verdicts: the worse of each figure; the other's words get the label."""
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
        """Raise UnsoundPosterior, with the complaints and ``advice``, if there are complaints."""
        if not self.sound:
            complaints = "; ".join(self.complaints)
            raise UnsoundPosterior(f"the posterior cannot be trusted ({complaints}); {advice}")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        words = {"complaints": list(self.complaints), "remarks": list(self.remarks)}
        return asdict(self) | words | {"sound": self.sound}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild from ``to_dict``; dictionaries of older versions have no remarks."""
        words = {name: tuple(stored.get(name, ())) for name in ("complaints", "remarks")}
        return cls(**{name: it for name, it in stored.items() if name != "sound"} | words)

    def _facts(self) -> Mapping[str, object]:
        figures = {name: value for name, value, _ in self.lines()}
        return {"verdict": self.verdict, **figures}
