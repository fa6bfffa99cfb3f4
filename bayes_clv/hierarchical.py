"""The estimator that joins the parts: transactions in, posterior out."""

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Literal, Protocol

import ibis
import numpy as np
import pandas as pd
import xarray as xr
from ibis import ir
from sklearn.base import clone

from bayes_clv.adequacy import gather, shortcomings
from bayes_clv.bgnbd import Dropout
from bayes_clv.errors import InputError
from bayes_clv.fitting import fit_table
from bayes_clv.landmarks import (
    LandmarkTable,
    check_landmarks,
    landmark_dates,
    landmark_table,
)
from bayes_clv.posterior import COMPARISON_HORIZON, Posterior
from bayes_clv.priors import Priors
from bayes_clv.record import FitRecord
from bayes_clv.rfm import durations, sample_customers, summarise
from bayes_clv.sampling import SamplerSettings
from bayes_clv.segments.estimators import COLUMNS, RFMSegmenter
from bayes_clv.segments.expressions import segment_code
from bayes_clv.segments.rules import POPULATION_NAME, ColumnRule, PooledRule, SegmentRule
from bayes_clv.states import States
from bayes_clv.transactions import Transactions

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
    """What a fit knows before it samples.

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
    """

    landmarks: tuple[dt.date, ...]
    rule: SegmentRule
    states: ir.Table
    table: LandmarkTable

    @property
    def at_end(self) -> ir.Table:
        """Customers at the observation end."""
        return self.states.filter(self.states.landmark == ibis.literal(self.landmarks[-1]))


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
        See :class:`bayes_clv.priors.Priors`.
    dropout
        When customers may leave: after a repeat purchase (BG/NBD) or after any (MBG/NBD).
    """

    segmenter: Segmenter | Literal["column"] | None = field(default_factory=RFMSegmenter)
    landmarks: int | Sequence[dt.date] = 4
    priors: Priors = field(default_factory=Priors)
    dropout: Dropout = Dropout.AFTER_REPEAT

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
            NUTS: draws and tuning steps per chain. When the draws cannot be trusted, it samples
            once more, with four times the tuning and smaller steps.
        progress
            Show a bar on standard error.
        on_stage
            Told in words what is being done.

        Returns
        -------
        The posterior, sound or not: see ``Posterior.diagnostics``. What the data are short of is
        in ``Posterior.record.warnings``.

        Raises
        ------
        InputError
            When the log cannot carry the model: no column of segments, nobody bought twice, ….
        """
        settings = SamplerSettings(draws, tune, chains, seed)
        data = self.prepare(transactions, seed=seed, on_stage=on_stage)
        began = time.perf_counter()
        on_stage("looking for the posterior")
        fitted = fit_table(
            data.table,
            data.rule.names,
            settings,
            priors=self.priors,
            dropout=Dropout(self.dropout),
            progress=progress,
            on_stage=on_stage,
        )
        seconds = time.perf_counter() - began
        on_stage("comparing segments")
        record = FitRecord(
            source=transactions.source,
            start=transactions.start,
            end=transactions.end,
            landmarks=data.landmarks,
            ledger=transactions.ledger,
            n_customers=_count(data.at_end),
            n_rows=len(data.table),
            priors=self.priors,
            draws=fitted.settings.draws,
            tune=fitted.settings.tune,
            chains=fitted.settings.chains,
            seed=fitted.settings.seed,
            seconds=round(seconds, 3),
            versions={name: version(name) for name in _VERSIONS},
            warnings=shortcomings(gather(data.states, data.landmarks, data.rule.names)),
        )
        posterior = Posterior(
            fitted.tree, data.rule, Dropout(self.dropout), record, fitted.diagnostics
        )
        posterior.tree["segments"] = xr.DataTree(_comparison(posterior, data.at_end))
        return posterior

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
        states = durations(summarise(transactions, landmarks)).cache()
        _check_repeaters(states)
        on_stage("learning segments")
        rule = self._learn(states, seed)
        on_stage("building the landmark table")
        states = states.mutate(code=segment_code(rule, states))
        return Prepared(landmarks, rule, states, landmark_table(states))

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
            names = states.select("segment").distinct().order_by("segment").to_pandas()["segment"]
            if names.dropna().empty:
                raise InputError("the column of segments holds no name")
            if (names == POPULATION_NAME).any():
                raise InputError(f'"{POPULATION_NAME}" is not free as the name of a segment')
            return ColumnRule(tuple(map(str, names.dropna())))
        some = sample_customers(states, MAX_LEARNING_STATES, seed)
        frame = some.order_by("customer_id", "landmark").select(*COLUMNS).to_pandas()
        learnt: SegmentRule = clone(self.segmenter).fit(frame).rule_
        return learnt


def _check_repeaters(states: ir.Table) -> None:
    if _count(states.filter(states.frequency > 0)) == 0:
        raise InputError(
            "no customer bought on two days: purchase rates and churn cannot be learnt from this "
            "log"
        )


def _comparison(posterior: Posterior, now: ir.Table) -> xr.Dataset:
    """Segments today, from the distinct states."""
    keys = ("code", "frequency", "recency", "T")
    frame = now.group_by(keys).aggregate(count=now.count()).order_by(keys).to_pandas()
    columns = {name: frame[name].to_numpy(dtype=float) for name in keys[1:]}
    unknown = np.full(len(frame), np.nan)
    return posterior.segment_draws(
        States(**columns, monetary_value=unknown),
        frame["count"].to_numpy(dtype=float),
        COMPARISON_HORIZON,
        codes=frame["code"].to_numpy(dtype=np.int64),
    )


def _count(table: ir.Table) -> int:
    return int(table.count().execute())
