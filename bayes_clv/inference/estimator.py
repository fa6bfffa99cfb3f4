"""The estimator that joins the parts: transactions in, posterior out."""

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any, Literal, Protocol

import ibis
import pandas as pd
import xarray as xr
from ibis import ir
from sklearn.base import clone

from bayes_clv.data.adequacy import LogFigures, check_segments, measure_log, shortcomings
from bayes_clv.data.engines import cached, to_arrow
from bayes_clv.data.rfm import durations, sample_customers, summarise
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError
from bayes_clv.inference.fitting import Fitted, fit_spend, fit_table
from bayes_clv.inference.landmarks import (
    LandmarkTable,
    check_landmarks,
    landmark_dates,
    landmark_table,
)
from bayes_clv.inference.progress import Stages
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.inference.spend.table import MIN_VARIATION, SpendTable, spend_table
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.models.priors import Priors, SpendPriors
from bayes_clv.posterior.diagnostics import Diagnostics
from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.draws import with_group
from bayes_clv.posterior.fit_record import FitRecord, SpendRecord
from bayes_clv.posterior.log_states import segment_draws
from bayes_clv.posterior.posterior import COMPARISON_HORIZON, Posterior
from bayes_clv.segments.estimators import COLUMNS, RFMSegmenter
from bayes_clv.segments.expressions import segment_code
from bayes_clv.segments.rules import POPULATION_NAME, ColumnRule, PooledRule, SegmentRule

MAX_LEARNING_STATES = 100_000
_VERSIONS = ("arviz", "numpy", "nutpie", "pymc", "scikit-learn", "xarray")


class Segmenter(Protocol):
    """A scikit-learn estimator that learns a rule."""

    rule_: SegmentRule

    def fit(self, X: pd.DataFrame) -> Any:
        """Learn from states."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """The data of a fit, before it samples.

    Attributes
    ----------
    landmarks
        Dates; the last one is the observation end.
    rule
        Which segment a state belongs to.
    states
        Customers at every landmark, with the code of their segment.
    table
        The landmark table.
    warning
        Shown before sampling begins; mostly empty.
    """

    landmarks: tuple[dt.date, ...]
    rule: SegmentRule
    states: ir.Table
    table: LandmarkTable
    warning: str = ""

    @property
    def at_end(self) -> ir.Table:
        """Customers at the observation end."""
        return self.states.filter(self.states.landmark == ibis.literal(self.landmarks[-1]))


@dataclass(frozen=True)
class SampledSpend:
    """A table of spend, and its draws."""

    table: SpendTable
    fitted: Fitted


@dataclass(frozen=True)
class Sampled:
    """The draws of a fit.

    Attributes
    ----------
    purchases, spend
        Each with its verdict. ``spend`` is None where the log has no amounts, and where spend was
        switched off or left out.
    left_out
        Why spend was left out; mostly empty.
    """

    purchases: Fitted
    spend: SampledSpend | None = None
    left_out: str = ""

    @property
    def tree(self) -> xr.DataTree:
        """The draws of both."""
        if self.spend is None:
            return self.purchases.tree
        return with_group(self.purchases.tree, "spend", self.spend.fitted.tree)

    @property
    def diagnostics(self) -> Diagnostics:
        """The verdict on both."""
        verdict = self.purchases.diagnostics
        if self.spend is None:
            return verdict
        return verdict.joined(self.spend.fitted.diagnostics, "spend")


@dataclass(frozen=True)
class HierarchicalBetaGeo:
    """Hierarchical BG/NBD, partially pooled across segments by the landmark likelihood.

    Parameters
    ----------
    segmenter
        ``RFMSegmenter``, ``KMeansSegmenter`` or the like; ``"column"`` for the user's own segments,
        read with ``read_transactions(…, segment=COLUMN)``; None for no segments.
    landmarks
        How many, spread evenly, or the dates themselves; the observation end is always one.
    priors
        See :class:`bayes_clv.models.priors.Priors`.
    dropout
        When customers may leave: after a repeat purchase (BG/NBD) or after any (MBG/NBD).
    spend
        Whether to fit spend, too (Gamma–Gamma), where the log has amounts.
    spend_priors
        See :class:`bayes_clv.models.priors.SpendPriors`.
    """

    segmenter: Segmenter | Literal["column"] | None = field(default_factory=RFMSegmenter)
    landmarks: int | Sequence[dt.date] = 4
    priors: Priors = field(default_factory=Priors)
    dropout: Dropout = Dropout.AFTER_REPEAT
    spend: bool = True
    spend_priors: SpendPriors = field(default_factory=SpendPriors)

    def fit(
        self,
        transactions: Transactions,
        *,
        draws: int = 1000,
        tune: int = 200,
        chains: int = 4,
        seed: int = 0,
        progress: bool = False,
        on_stage: Callable[[str], None] = lambda words: None,
    ) -> Posterior:
        """Summarise, segment and sample.

        Parameters
        ----------
        transactions
            From ``read_transactions``.
        draws, tune, chains, seed
            Settings of NUTS: draws and tuning steps per chain, number of chains, seed; for
            purchases and then for spend. When the diagnostics fail, it samples again: more
            carefully (up to twice), or for longer with as many draws kept. With 400 draws or fewer
            over all chains, which cannot pass, it samples once.
        progress
            Show progress on standard error.
        on_stage
            Called with the name of each stage that begins.

        Returns
        -------
        The posterior, sound or not: see ``Posterior.diagnostics``. Warnings about the data, also
        those of reading, are in ``Posterior.record.warnings``.

        Raises
        ------
        InputError
            When the log cannot carry the model: no column of segments, nobody bought twice, ….
        """
        settings = SamplerSettings(draws, tune, chains, seed)
        with Stages(show=progress, tell=on_stage) as stages:
            return self._fit(transactions, settings, stages)

    def _fit(
        self, transactions: Transactions, settings: SamplerSettings, stages: Stages
    ) -> Posterior:
        data = self.prepare(transactions, seed=settings.seed, on_stage=stages.begin)
        stages.warn(data.warning)
        began = time.perf_counter()
        sampled = self.sample(data, settings, stages=stages)
        seconds = time.perf_counter() - began
        stages.begin("comparing segments")
        evidence = measure_log(data.states, data.landmarks, data.rule.names)
        of_spend, taken = None, sampled.purchases.settings
        if sampled.spend is not None:
            of_spend = _spend_record(sampled.spend, evidence, self.spend_priors)
        warnings = [*transactions.report.without_values, data.warning, *shortcomings(evidence)]
        warnings.append(sampled.left_out)
        record = FitRecord(
            source=transactions.source,
            start=transactions.start,
            end=transactions.end,
            landmarks=data.landmarks,
            ledger=transactions.ledger,
            n_customers=_count(data.at_end),
            n_rows=len(data.table),
            priors=self.priors,
            draws=taken.draws,
            tune=taken.tune,
            chains=taken.chains,
            seed=taken.seed,
            seconds=round(seconds, 3),
            versions={name: version(name) for name in _VERSIONS},
            warnings=tuple(filter(None, warnings)),
            spend=of_spend,
        )
        posterior = Posterior(
            sampled.tree, data.rule, Dropout(self.dropout), record, sampled.diagnostics
        )
        terms = ValueTerms() if posterior.has_spend else None
        compared = segment_draws(posterior, data.at_end, COMPARISON_HORIZON, terms)
        return replace(posterior, tree=with_group(posterior.tree, "segments", compared))

    def prepare(
        self,
        transactions: Transactions,
        *,
        seed: int = 0,
        on_stage: Callable[[str], None] = lambda words: None,
    ) -> Prepared:
        """Do what comes before sampling: summarise, learn segments, build the landmark table."""
        landmarks = self._landmark_dates(transactions)
        on_stage("summarising customers")
        states = cached(durations(summarise(transactions, landmarks)))
        _check_repeaters(states)
        on_stage("learning segments")
        rule = self._learn(states, seed)
        at_end = states.filter(states.landmark == ibis.literal(landmarks[-1]))
        warning = check_segments(len(rule.names), _count(at_end))
        on_stage("building the landmark table")
        states = states.mutate(code=segment_code(rule, states))
        return Prepared(landmarks, rule, states, landmark_table(states), warning)

    def sample(
        self, data: Prepared, settings: SamplerSettings, *, stages: Stages | None = None
    ) -> Sampled:
        """Sample purchases, and spend as long, for their draws are paired.

        Spend that cannot be fitted is left out, for it must not take sound purchases down with it.
        """
        stages = stages or Stages()
        names = data.rule.names
        purchases = fit_table(
            data.table,
            names,
            settings,
            priors=self.priors,
            dropout=Dropout(self.dropout),
            stages=stages,
        )
        table = spend_table(data.states, len(names)) if self.spend else None
        if table is None:
            return Sampled(purchases)
        if table.variation < MIN_VARIATION:
            left_out = (
                "spend is left out: customers pay the same each time (a purchase differs from "
                f"the customer's earlier ones by {table.variation:.2%}, less than "
                f"{MIN_VARIATION:.2%}), so there is nothing to model; value is the price times the "
                "expected purchases"
            )
            return Sampled(purchases, left_out=left_out)
        fitted = fit_spend(table, names, settings, priors=self.spend_priors, stages=stages)
        if purchases.diagnostics.sound and not fitted.diagnostics.sound:
            left_out = (
                "spend is left out, because its draws cannot be trusted "
                f"({'; '.join(fitted.diagnostics.complaints)}): amounts may be of several kinds; "
                "use fewer segments, or check the largest orders"
            )
            return Sampled(purchases, left_out=left_out)
        return Sampled(purchases, SampledSpend(table, fitted))

    def _landmark_dates(self, transactions: Transactions) -> tuple[dt.date, ...]:
        start, end = transactions.start, transactions.end
        if self.segmenter is None:
            return (end,)  # the sum telescopes: landmarks cannot matter
        if isinstance(self.landmarks, int):
            return landmark_dates(start, end, self.landmarks)
        return check_landmarks(tuple(self.landmarks), start, end)

    def _learn(self, states: ir.Table, seed: int) -> SegmentRule:
        if self.segmenter is None:
            return PooledRule()
        if self.segmenter == "column":
            if "segment" not in states.columns:
                raise InputError("no column of segments was read: name it with segment=COLUMN")
            found = states.select("segment").distinct().to_pyarrow()["segment"].to_pylist()
            names = sorted(name for name in found if name is not None)  # engines differ in sorting
            if not names:
                raise InputError("the column of segments holds no name: every value is missing")
            if POPULATION_NAME in names:
                raise InputError(f'"{POPULATION_NAME}" is not free as the name of a segment')
            return ColumnRule(tuple(names))
        some = sample_customers(states, MAX_LEARNING_STATES, seed)
        frame = to_arrow(some.order_by("customer_id", "landmark").select(*COLUMNS)).to_pandas()
        learnt: SegmentRule = clone(self.segmenter).fit(frame).rule_
        return learnt


def _check_repeaters(states: ir.Table) -> None:
    if _count(states.filter(states.frequency > 0)) == 0:
        raise InputError(
            "no customer bought on two days: purchase rates and churn cannot be learnt from this "
            "log"
        )


def _spend_record(spend: SampledSpend, evidence: LogFigures, priors: SpendPriors) -> SpendRecord:
    return SpendRecord(
        unit=spend.table.mean,
        stretches=int(spend.table.n_episodes.sum()),
        without_spend=spend.table.without_spend,
        pearson=evidence.pearson,
        spearman=evidence.spearman,
        priors=priors,
        tune=spend.fitted.settings.tune,
    )


def _count(table: ir.Table) -> int:
    return int(table.count().execute())
