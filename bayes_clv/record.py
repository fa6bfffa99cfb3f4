"""What is kept about a fit beside its draws: where they came from, and the sampler's verdict."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from bayes_clv.errors import UnsoundPosterior
from bayes_clv.ledger import Ledger
from bayes_clv.priors import Priors


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
        Where the data cannot carry the answer, a line each; see :mod:`bayes_clv.adequacy`.
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
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild from ``to_dict``; records from before there were warnings have none."""
        fields = dict(stored)
        fields["start"] = dt.date.fromisoformat(stored["start"])
        fields["end"] = dt.date.fromisoformat(stored["end"])
        fields["landmarks"] = tuple(map(dt.date.fromisoformat, stored["landmarks"]))
        fields["ledger"] = Ledger.from_dict(stored["ledger"])
        fields["priors"] = Priors.from_dict(stored["priors"])
        fields["warnings"] = tuple(stored.get("warnings", ()))
        return cls(**fields)


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
    """

    r_hat: float
    ess_bulk: float
    ess_tail: float
    divergences: int
    e_bfmi: float
    complaints: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether the posterior can be trusted."""
        return not self.complaints

    def require_sound(self, advice: str) -> None:
        """Raise UnsoundPosterior, with the complaints and ``advice``, where there are any."""
        if not self.sound:
            complaints = "; ".join(self.complaints)
            raise UnsoundPosterior(f"the posterior cannot be trusted ({complaints}); {advice}")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self) | {"complaints": list(self.complaints), "sound": self.sound}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild from ``to_dict``."""
        fields = {name: value for name, value in stored.items() if name != "sound"}
        return cls(**fields | {"complaints": tuple(stored["complaints"])})
