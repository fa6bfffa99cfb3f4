"""The results of a calibration study: ranks that are not uniform, intervals that do not cover."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import pandas as pd

from bayes_clv.evaluation.sbc.design import Design
from bayes_clv.evaluation.sbc.rank_uniformity import Uniformity
from bayes_clv.evaluation.sbc.replicates import FailedReplicate, Replicate

LEVEL = 0.99  # of the bands


@dataclass(frozen=True, eq=False)
class Calibration:
    """The replicates of a study, and the verdict on them.

    Attributes
    ----------
    design
        What was simulated and fitted.
    seed, date
        Of the study.
    ranks
        A row for each replicate, a column for each quantity: ranks among ``design.n_draws`` draws.
    coverage
        A row for each replicate; columns (measure, level): share of its customers covered.
    fits
        A row for each replicate: the sampler's worst figures and whether the fit is sound, the
        seconds that it took, and n_repeats, the repeat purchases in its data.
    failed
        Datasets that could not be fitted, and so have no row.
    uniformity
        The test of uniformity for the ranks.
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
    def of(cls, design: Design, seed: int, worlds: Sequence[Replicate | FailedReplicate]) -> Self:
        """Gather the replicates of a study.

        Raises
        ------
        RuntimeError
            No dataset could be fitted.
        """
        replicates = [it for it in worlds if isinstance(it, Replicate)]
        failed = tuple(it for it in worlds if isinstance(it, FailedReplicate))
        if not replicates:
            raise RuntimeError(f"none of {len(failed)} worlds could be fitted: {failed[0].reason}")
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
        """Replicates whose fit failed its diagnostics; they are counted in the results."""
        return int((~self.fits["sound"]).sum())

    @property
    def table(self) -> pd.DataFrame:
        """One row per quantity: mean_rank, from 0 to 1, p_value, and outside, the 99 % band."""
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
        """Number of quantities expected to leave the band by chance, if the posterior is right."""
        return (1 - LEVEL) * self.ranks.shape[1]

    @property
    def beyond_chance(self) -> tuple[str, ...]:
        """The quantities outside beyond chance: p below 1 % after Bonferroni's correction.

        Bonferroni's bound holds however the quantities depend on each other.
        """
        table = self.table
        return tuple(table.index[table["p_value"] < (1 - LEVEL) / len(table)])

    @property
    def coverage_table(self) -> pd.DataFrame:
        """One row per (measure, level): coverage, and its standard_error between replicates."""
        found = self.coverage
        return pd.DataFrame({"coverage": found.mean(), "standard_error": found.sem()})

    @property
    def verdict(self) -> str:
        """One sentence."""
        outside, wrong = self.outside, self.beyond_chance
        names = f" ({'; '.join(outside)})" if outside else ""
        found = f"NOT CALIBRATED: {'; '.join(wrong)}" if wrong else "calibrated"
        failed = f" COULD NOT BE FITTED: {len(self.failed)} worlds." if self.failed else ""
        return (
            f"{len(outside)} of {self.ranks.shape[1]} quantities outside{names}, "
            f"{self.expected_outside:.1f} expected by chance: {found}.{failed}"
        )


def _with_two_levels(shares: Sequence[Mapping[tuple[str, float], float]]) -> pd.DataFrame:
    columns = pd.MultiIndex.from_tuples(list(shares[0]), names=["measure", "level"])
    return pd.DataFrame([list(share.values()) for share in shares], columns=columns)
