"""The estimator that joins the parts: transactions in, posterior out."""

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import cast

import ibis
from ibis import ir
from sklearn.base import clone

from bayes_clv import arguments
from bayes_clv.data.adequacy import LogFigures, check_segments, measure_log, shortcomings
from bayes_clv.data.described import Described, listed
from bayes_clv.data.engines import cached, to_arrow
from bayes_clv.data.given_log import Log, as_log
from bayes_clv.data.rfm import durations, sample_customers, summarise
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError
from bayes_clv.inference import options
from bayes_clv.inference.fitting import fit_spend, fit_table
from bayes_clv.inference.landmarks import (
    check_landmarks,
    landmark_dates,
    landmark_table,
)
from bayes_clv.inference.leaving import choose_dropout
from bayes_clv.inference.options import DropoutRule, Landmarks, Segmentation, Segmenter
from bayes_clv.inference.parts import Prepared, Sampled, SampledSpend
from bayes_clv.inference.progress import Stages
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.inference.spend.table import SpendTable, spend_table
from bayes_clv.inference.stretches import stretch_table
from bayes_clv.models.priors import Priors, ReactivationPriors, SpendPriors
from bayes_clv.posterior.choices import AUTO, DropoutChoice
from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.draws import alike_in, with_group
from bayes_clv.posterior.fit_record import FitRecord, SpendRecord
from bayes_clv.posterior.log_states import segment_draws
from bayes_clv.posterior.posterior import COMPARISON_HORIZON, Posterior
from bayes_clv.segments.estimators import COLUMNS, RFMSegmenter
from bayes_clv.segments.expressions import segment_code, weights_to_fit
from bayes_clv.segments.rules import POPULATION_NAME, ColumnRule, PooledRule, SegmentRule

MAX_LEARNING_STATES = 100_000
_VERSIONS = ("arviz", "numpy", "nutpie", "pymc", "scikit-learn", "xarray")


@dataclass(frozen=True, repr=False)
class HierarchicalBetaGeo(Described):
    """Hierarchical BG/NBD, partially pooled across segments by the landmark likelihood.

    Parameters
    ----------
    segmenter
        ``RFMSegmenter()``, ``KMeansSegmenter(5)`` or the like; ``"rfm"`` and ``"kmeans"`` stand for
        the first two; ``"column"`` for the user's own segments, read with
        ``read_transactions(…, segment=COLUMN)``; None for no segments.
    landmarks
        How many, spread evenly, or the dates themselves, which may be ISO text; the observation end
        is always one.
    priors
        See :class:`bayes_clv.models.priors.Priors`.
    dropout
        When customers may leave: after a repeat purchase (BG/NBD) or after any (MBG/NBD); as text,
        ``"after_repeat"`` or ``"after_any"``. ``"auto"`` takes what the log speaks for: see
        :mod:`bayes_clv.inference.leaving`.
    spend
        Whether to fit spend, too (Gamma–Gamma), where the log has amounts.
    spend_priors
        See :class:`bayes_clv.models.priors.SpendPriors`.
    reactivation
        Whether customers may come back, whatever their history says
        (:mod:`bayes_clv.models.reactivation`); by default they may where segments are soft. A model
        without segments, or with one landmark, has nothing to learn that from, and no reactivation.
    reactivation_priors
        See :class:`bayes_clv.models.priors.ReactivationPriors`.
    soft_fit
        Whether the fit, too, counts a customer's purchases for several segments
        (:mod:`bayes_clv.inference.landmarks`); answers of soft segments are mixtures in any case.
        By default it does where segments are soft and customers may come back: a hard fit then
        mixes slowly, and forecasts no better.

    Raises
    ------
    InputError
        An option has no meaning.
    """

    segmenter: Segmentation = field(default_factory=RFMSegmenter)
    landmarks: Landmarks = 4
    priors: Priors = field(default_factory=Priors)
    dropout: DropoutRule = AUTO
    spend: bool = True
    spend_priors: SpendPriors = field(default_factory=SpendPriors)
    reactivation: bool | None = None
    reactivation_priors: ReactivationPriors = field(default_factory=ReactivationPriors)
    soft_fit: bool | None = None

    def __post_init__(self) -> None:
        settled = {
            "segmenter": options.settled_segmenter(self.segmenter),
            "landmarks": options.settled_landmarks(self.landmarks),
            "priors": arguments.instance("priors", self.priors, Priors, "Priors(…)"),
            "dropout": options.settled_dropout(self.dropout),
            "spend": arguments.flag("spend", self.spend),
            "spend_priors": arguments.instance(
                "spend_priors", self.spend_priors, SpendPriors, "SpendPriors(…)"
            ),
            "reactivation": options.settled_switch("reactivation", self.reactivation),
            "reactivation_priors": arguments.instance(
                "reactivation_priors",
                self.reactivation_priors,
                ReactivationPriors,
                "ReactivationPriors(…)",
            ),
            "soft_fit": options.settled_switch("soft_fit", self.soft_fit),
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)

    def fit(
        self,
        transactions: Log,
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
            From ``read_transactions``; or what it reads without options: the path of a file, a
            pandas DataFrame, or an Ibis table, with one row per purchase.
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
            When an argument has no meaning, or the log cannot carry the model: no column of
            segments, nobody bought twice, ….
        """
        settings = SamplerSettings(draws, tune, chains, seed)
        progress = arguments.flag("progress", progress)
        on_stage = arguments.function("on_stage", on_stage)
        transactions = as_log(transactions)
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
            dropout=data.dropout,
            reactivation=self.reactivation_priors if data.stretches else None,
            soft_fit=self._softens(data.rule),
        )
        posterior = Posterior(
            sampled.tree, data.rule, data.dropout.chosen, record, sampled.diagnostics
        )
        terms = ValueTerms() if posterior.has_spend else None
        compared = segment_draws(posterior, data.at_end, COMPARISON_HORIZON, terms)
        return replace(posterior, tree=with_group(posterior.tree, "segments", compared))

    def prepare(
        self,
        transactions: Log,
        *,
        seed: int = 0,
        on_stage: Callable[[str], None] = lambda words: None,
    ) -> Prepared:
        """Do what comes before sampling: summarise, learn segments, build the landmark table.

        With ``dropout="auto"`` the rule of leaving is chosen here, too.
        """
        transactions, seed = as_log(transactions), arguments.seed(seed)
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
        counted = cached(weights_to_fit(rule, states)) if self._softens(rule) else states
        stretches = None
        if self._reactivates(rule):
            stretches = stretch_table(counted) or None  # none with a single landmark
        table, dropout = landmark_table(counted), self._choose_dropout(at_end)
        return Prepared(landmarks, rule, states, table, dropout, stretches, warning)

    def sample(
        self, data: Prepared, settings: SamplerSettings, *, stages: Stages | None = None
    ) -> Sampled:
        """Sample purchases, and spend as long, for their draws are paired.

        Spend whose segments cannot be trusted is fitted again without them: amounts of several
        kinds (prices that never change, and a few that do) leave segments nothing to agree on. If
        that fails too, spend is left out, for it must not take sound purchases down with it.
        """
        stages = stages or Stages()
        names = data.rule.names
        purchases = fit_table(
            data.table,
            names,
            settings,
            priors=self.priors,
            dropout=data.dropout.chosen,
            stretches=data.stretches,
            reactivation=self.reactivation_priors,
            stages=stages,
        )
        remark = trouble = ""
        for n_segments in dict.fromkeys((len(names), 1)) if self.spend else ():
            table = spend_table(data.states, n_segments)
            if table is None:
                return Sampled(purchases)
            spend, trouble = self._sample_spend(table, names, settings, stages)
            if not trouble or (spend is not None and not purchases.diagnostics.sound):
                return Sampled(purchases, spend, remark)
            remark = f"spend is taken to be alike in all segments; with their own, {trouble}"
        if trouble:
            trouble = f"spend is left out, because {trouble}: check the largest orders"
        return Sampled(purchases, left_out=trouble)

    def _sample_spend(
        self,
        table: SpendTable,
        names: tuple[str, ...],
        settings: SamplerSettings,
        stages: Stages,
    ) -> tuple[SampledSpend | None, str]:
        """The draws, unless there are none, and what is wrong with them; mostly empty."""
        alike = table.n_segments < len(names) > 1
        own = (POPULATION_NAME,) if alike else names
        try:
            fitted = fit_spend(table, own, settings, priors=self.spend_priors, stages=stages)
        except (ArithmeticError, ValueError, RuntimeError) as error:  # also of linear algebra
            return None, f"its posterior cannot be computed ({error})"
        trouble = ""
        if not fitted.diagnostics.sound:
            trouble = f"its draws cannot be trusted ({'; '.join(fitted.diagnostics.complaints)})"
        if alike:
            fitted = replace(fitted, tree=alike_in(fitted.tree, names))
        return SampledSpend(table, fitted), trouble

    def _facts(self) -> Mapping[str, object]:
        dates = self.landmarks
        model = "BG/NBD or MBG/NBD" if self.dropout == AUTO else self.dropout.model_name
        return {
            "segmenter": self.segmenter,
            "landmarks": listed(dates) if isinstance(dates, tuple) else dates,
            "model": model
            + (" with reactivation" if self.reactivation else "")
            + (" and spend" if self.spend else ""),
            "priors": "default" if self.priors == Priors() else "own",
        }

    def _landmark_dates(self, transactions: Transactions) -> tuple[dt.date, ...]:
        start, end = transactions.start, transactions.end
        if self.segmenter is None:
            return (end,)  # the sum telescopes: landmarks cannot matter
        if isinstance(self.landmarks, int):
            return landmark_dates(start, end, self.landmarks)
        return check_landmarks(cast(tuple[dt.date, ...], self.landmarks), start, end)

    def _choose_dropout(self, at_end: ir.Table) -> DropoutChoice:
        if self.dropout == AUTO:
            return choose_dropout(at_end, self.priors)
        return DropoutChoice(self.dropout.value, self.dropout)

    def _reactivates(self, rule: SegmentRule) -> bool:
        wanted = rule.soft if self.reactivation is None else self.reactivation
        return wanted and len(rule.names) > 1

    def _softens(self, rule: SegmentRule) -> bool:
        if self.soft_fit is None:
            return rule.soft and self._reactivates(rule)
        return self.soft_fit and len(rule.names) > 1

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
        learnt: SegmentRule = clone(cast(Segmenter, self.segmenter)).fit(frame).rule_
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
