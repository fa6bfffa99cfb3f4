"""Results of a calibration study: uniformity of the ranks, coverage of the intervals, verdict."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import pandas as pd

from bayes_clv.data.described import Described
from bayes_clv.evaluation.sbc.design import Design
from bayes_clv.evaluation.sbc.rank_uniformity import Uniformity
from bayes_clv.evaluation.sbc.replicates import FailedReplicate, Replicate

LEVEL = 0.99  # of the bands


@dataclass(frozen=True, eq=False, repr=False)
class Calibration(Described):
    """The replicates of a study, and the verdict on them.

    Attributes
    ----------
    design
        What was simulated and fitted.
    seed, date
        Random seed and date of the study.
    ranks
        One row per replicate, one column per quantity: ranks among ``design.n_draws`` draws.
    coverage
        One row per replicate; columns (measure, level): share of its customers covered.
    fits
        One row per replicate: the sampler's worst figures, whether the fit is sound, its wall time
        in seconds, and n_repeats, the repeat purchases in its data.
    failed
        Simulated datasets that could not be fitted; they have no row in the tables.
    uniformity
        The test of the ranks.
    """

    design: Design
    seed: int
    date: dt.date
    ranks: pd.DataFrame
    coverage: pd.DataFrame
    fits: pd.DataFrame
    failed: tuple[FailedReplicate, ...]
    uniformity: Uniformity

    @classmethod
    def of(cls, design: Design, seed: int, results: Sequence[Replicate | FailedReplicate]) -> Self:
        """Collect the replicates of a study.

        Raises
        ------
        RuntimeError
            If none of the simulated datasets could be fitted.
        """
        replicates = [it for it in results if isinstance(it, Replicate)]
        failed = tuple(it for it in results if isinstance(it, FailedReplicate))
        if not replicates:
            raise RuntimeError(
                f"none of {len(failed)} simulated datasets could be fitted: {failed[0].reason}"
            )
        return cls(
            design=design,
            seed=seed,
            date=dt.datetime.now(dt.UTC).date(),
            ranks=pd.DataFrame([it.ranks for it in replicates]),
            coverage=_with_two_levels([it.coverage for it in replicates]),
            fits=pd.DataFrame(
                [
                    it.diagnostics.to_dict() | {"seconds": it.seconds, "n_repeats": it.n_repeats}
                    for it in replicates
                ]
            ),
            failed=failed,
            uniformity=Uniformity.of(len(replicates), design.n_draws),
        )

    @property
    def n_replicates(self) -> int:
        """Number of datasets that were simulated and fitted."""
        return len(self.ranks)

    @property
    def unsound(self) -> int:
        """Number of replicates whose fit failed its diagnostics; the tables include them."""
        return int((~self.fits["sound"]).sum())

    @property
    def table(self) -> pd.DataFrame:
        """One row per quantity: mean_rank (0 to 1), p_value, and outside (of the 99 % band)."""
        p_value = {name: self.uniformity.p_value(ranks) for name, ranks in self.ranks.items()}
        frame = pd.DataFrame(
            {
                "mean_rank": self.ranks.mean() / self.design.n_draws,
                "p_value": pd.Series(p_value),
            }
        )
        frame["outside"] = frame["p_value"] < 1 - LEVEL
        return frame

    @property
    def outside(self) -> tuple[str, ...]:
        """The quantities whose ECDF leaves the band."""
        table = self.table
        return tuple(table.index[table["outside"]])

    @property
    def expected_outside(self) -> float:
        """Expected number of quantities outside the band by chance if the posterior is right."""
        return (1 - LEVEL) * self.ranks.shape[1]

    @property
    def beyond_chance(self) -> tuple[str, ...]:
        """The quantities with p-values too small for chance, at 1 % for all quantities together.

        The bound is Bonferroni's, which holds however the quantities depend on each other.
        """
        table = self.table
        return tuple(table.index[table["p_value"] < (1 - LEVEL) / len(table)])

    @property
    def coverage_table(self) -> pd.DataFrame:
        """One row per (measure, level): coverage, and its standard_error between replicates."""
        coverage = self.coverage
        return pd.DataFrame({"coverage": coverage.mean(), "standard_error": coverage.sem()})

    @property
    def verdict(self) -> str:
        """The verdict in one sentence."""
        outside, wrong = self.outside, self.beyond_chance
        names = f" ({'; '.join(outside)})" if outside else ""
        grade = f"NOT CALIBRATED: {'; '.join(wrong)}" if wrong else "calibrated"
        failed = (
            f" COULD NOT BE FITTED: {len(self.failed)} simulated datasets." if self.failed else ""
        )
        return (
            f"{len(outside)} of {self.ranks.shape[1]} quantities outside{names}, "
            f"{self.expected_outside:.1f} expected by chance: {grade}.{failed}"
        )

    def _facts(self) -> Mapping[str, object]:
        return {
            "design": self.design.name,
            "replicates": self.n_replicates,
            "unsound": self.unsound,
            "failed": len(self.failed),
            "verdict": self.verdict,
        }


def _with_two_levels(shares: Sequence[Mapping[tuple[str, float], float]]) -> pd.DataFrame:
    columns = pd.MultiIndex.from_tuples(list(shares[0]), names=["measure", "level"])
    return pd.DataFrame([list(share.values()) for share in shares], columns=columns)
