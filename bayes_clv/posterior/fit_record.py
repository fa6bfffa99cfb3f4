"""The fit record: the data and settings of a fit, stored beside its draws."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from bayes_clv.data.described import Described, listed
from bayes_clv.data.ledger import Ledger
from bayes_clv.models.priors import Priors, ReactivationPriors, SpendPriors
from bayes_clv.posterior.choices import DropoutChoice, SegmentChoice


@dataclass(frozen=True, slots=True, repr=False)
class SpendRecord(Described):
    """The data and settings of the spend model's fit.

    Attributes
    ----------
    unit
        Mean spend per repeat purchase day, in the currency of the log.
    stretches, without_spend
        Episodes between landmarks with purchases: the number in which the customer spent something,
        and the number in which all purchases cost nothing; the latter are left out of the fit.
    pearson, spearman
        Correlation of frequency and mean spend over repeat customers, which the model assumes to be
        0: Pearson's, and Spearman's of the ranks. None where it is not defined.
    priors
        Priors of the spend model.
    tune
        Tuning steps per chain; draws, chains and seed are those of the purchase model.
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

    def _facts(self) -> Mapping[str, object]:
        return {"unit": self.unit, "stretches": self.stretches, "without spend": self.without_spend}


@dataclass(frozen=True, slots=True, repr=False)
class FitRecord(Described):
    """The data and settings of a fit.

    Attributes
    ----------
    source
        Short name of the transaction log.
    start, end
        First purchase and observation end.
    landmarks
        The dates at which customers were assigned to segments; the last one is ``end``.
    ledger
        Rows read, kept and rejected.
    n_customers, n_rows
        Customers at the observation end, and rows of the landmark table.
    priors, draws, tune, chains, seed
        Settings of the model and of the sampler; draws and tuning steps are per chain.
    seconds
        Wall time from the landmark table to the posterior, compilation included.
    versions
        Versions of the libraries, by name.
    warnings
        What may be wrong with the log, and what the data are not sufficient for, one line each; see
        :mod:`bayes_clv.data.suspicions` and :mod:`bayes_clv.data.adequacy`.
    spend
        The record of the spend model; None where spend was not fitted.
    dropout
        How the rule of leaving was chosen; None in records of older versions.
    reactivation
        Priors of reactivation; None of a model without it.
    segments
        How the segments were chosen; None where the user did.
    soft_fit
        Whether a customer's purchases counted for several segments, by weights.
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
    dropout: DropoutChoice | None = None
    reactivation: ReactivationPriors | None = None
    segments: SegmentChoice | None = None
    soft_fit: bool = False

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
            "dropout": self.dropout and self.dropout.to_dict(),
            "reactivation": self.reactivation and self.reactivation.to_dict(),
            "segments": self.segments and self.segments.to_dict(),
            "soft_fit": self.soft_fit,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild from ``to_dict``; records of older versions lack what has a default."""
        read = dict(stored)
        read["start"] = dt.date.fromisoformat(stored["start"])
        read["end"] = dt.date.fromisoformat(stored["end"])
        read["landmarks"] = tuple(map(dt.date.fromisoformat, stored["landmarks"]))
        read["ledger"] = Ledger.from_dict(stored["ledger"])
        read["priors"] = Priors.from_dict(stored["priors"])
        read["warnings"] = tuple(stored.get("warnings", ()))
        read["spend"] = SpendRecord.from_dict(stored["spend"]) if stored.get("spend") else None
        kinds: dict[str, Any] = {
            "dropout": DropoutChoice,
            "reactivation": ReactivationPriors,
            "segments": SegmentChoice,
        }
        for name, kind in kinds.items():
            read[name] = kind.from_dict(stored[name]) if stored.get(name) else None
        return cls(**read)

    def _facts(self) -> Mapping[str, object]:
        return {
            "source": self.source,
            "window": f"{self.start} … {self.end}",
            "customers": self.n_customers,
            "landmarks": listed(self.landmarks),
            "draws": f"{self.chains} × {self.draws}",
            "spend": "fitted" if self.spend else "no",
            "warnings": len(self.warnings),
        }
