"""What is kept about a fit beside its draws: where they came from, and the sampler's verdict.

The thresholds of the verdict are those of Vehtari et al. (2021), Bayesian Analysis 16(2), for R-hat
and ESS, and of Betancourt (2016), arXiv:1604.00695, for E-BFMI. Whether a divergent draw in a
thousand does harm is simulated by ``make sbc``.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from bayes_clv.data.ledger import Ledger
from bayes_clv.errors import UnsoundPosterior
from bayes_clv.models.priors import Priors, SpendPriors

MAX_R_HAT = 1.01
MIN_ESS = 400
MIN_E_BFMI = 0.3
_NEARLY_MIXED = 1.05  # R-hat from which on no number of draws helps
MAX_DIVERGENT = 1 / 1000  # of the draws, and only where sampling was as careful as it gets


@dataclass(frozen=True, slots=True)
class SpendRecord:
    """What the draws of spend rest on.

    Attributes
    ----------
    unit
        Mean spend per repeat purchase day, in the currency of the log.
    stretches, without_spend
        Stretches between landmarks in which customers spent something; others, in which all that
        was bought cost nothing, are left out.
    pearson, spearman
        Correlation of frequency and mean spend over customers who came back, of the numbers and of
        their ranks: the model takes the two for independent. None where it is not defined.
    priors
        Of the model of spend.
    tune
        Tuning steps per chain; draws, chains and seed are those of the purchases.
    """

    unit: float
    stretches: int
    without_spend: int
    pearson: float | None
    spearman: float | None
    priors: SpendPriors
    tune: int

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {
            "priors": self.priors.to_dict()
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild from ``to_dict``."""
        return cls(**dict(stored) | {"priors": SpendPriors.from_dict(stored["priors"])})


@dataclass(frozen=True, slots=True)
class FitRecord:
    """Where a posterior comes from.

    Attributes
    ----------
    source
        Short name of the transaction log.
    start, end
        First purchase and observation end.
    landmarks
        The dates at which customers were put in segments; the last one is ``end``.
    ledger
        Rows in, kept and rejected.
    n_customers, n_rows
        Customers at the observation end, and rows of the landmark table.
    priors, draws, tune, chains, seed
        Settings of the model and of the sampler; draws and tuning steps are per chain.
    seconds
        Wall time from the landmark table to the posterior, compilation included.
    versions
        Libraries by name.
    warnings
        Where the data cannot carry the answer, a line each; see :mod:`bayes_clv.data.adequacy`.
    spend
        What is known of spend; None where it was not fitted.
    """

    source: str
    start: dt.date
    end: dt.date
    landmarks: tuple[dt.date, ...]
    ledger: Ledger
    n_customers: int
    n_rows: int
    priors: Priors
    draws: int
    tune: int
    chains: int
    seed: int
    seconds: float
    versions: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    spend: SpendRecord | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "source": self.source,
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "landmarks": [date.isoformat() for date in self.landmarks],
            "ledger": self.ledger.to_dict(),
            "n_customers": self.n_customers,
            "n_rows": self.n_rows,
            "priors": self.priors.to_dict(),
            "draws": self.draws,
            "tune": self.tune,
            "chains": self.chains,
            "seed": self.seed,
            "seconds": self.seconds,
            "versions": dict(self.versions),
            "warnings": list(self.warnings),
            "spend": self.spend and self.spend.to_dict(),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild from ``to_dict``; those from before there were warnings, or spend, have none."""
        read = dict(stored)
        read["start"] = dt.date.fromisoformat(stored["start"])
        read["end"] = dt.date.fromisoformat(stored["end"])
        read["landmarks"] = tuple(map(dt.date.fromisoformat, stored["landmarks"]))
        read["ledger"] = Ledger.from_dict(stored["ledger"])
        read["priors"] = Priors.from_dict(stored["priors"])
        read["warnings"] = tuple(stored.get("warnings", ()))
        read["spend"] = SpendRecord.from_dict(stored["spend"]) if stored.get("spend") else None
        return cls(**read)


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """The sampler's worst figures over all variables, and what they say.

    Attributes
    ----------
    r_hat, ess_bulk, ess_tail, e_bfmi
        Worst over variables (over chains for E-BFMI); not a number where it cannot be computed.
    divergences
        Divergent transitions after tuning.
    complaints
        The rules that are broken, in words; empty for a sound posterior.
    remarks
        What is worth knowing of a posterior that can be trusted all the same.
    """

    r_hat: float
    ess_bulk: float
    ess_tail: float
    divergences: int
    e_bfmi: float
    complaints: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether the posterior can be trusted."""
        return not self.complaints

    @property
    def nearly_mixed(self) -> bool:
        """Whether more draws of the same kind would do, if anything does."""
        return self.r_hat < _NEARLY_MIXED and self.divergences == 0 and self.e_bfmi > MIN_E_BFMI

    @property
    def only_short(self) -> bool:
        """Whether more draws of the same kind are all that is wanting."""
        return min(self.ess_bulk, self.ess_tail) <= MIN_ESS and self.nearly_mixed

    @property
    def verdict(self) -> str:
        """The grade, and what it rests on, in words."""
        if not self.sound:
            return f"NOT SOUND, do not use: {'; '.join(self.complaints)}"
        return f"sound, with a remark: {'; '.join(self.remarks)}" if self.remarks else "sound"

    def lines(self) -> tuple[tuple[str, str, str], ...]:
        """Each figure for a reader: its name, its value, and what it must be."""
        return (
            ("R-hat", f"{self.r_hat:.4f}", f"< {MAX_R_HAT}"),
            ("bulk ESS", f"{self.ess_bulk:,.0f}", f"> {MIN_ESS}"),
            ("tail ESS", f"{self.ess_tail:,.0f}", f"> {MIN_ESS}"),
            ("divergences", f"{self.divergences}", "0"),
            ("E-BFMI", f"{self.e_bfmi:.2f}", f"> {MIN_E_BFMI}"),
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
