"""Which segmentation to fit to a log: the one that forecasts its last third best.

The candidates are fitted to the first two thirds of the log, and their forecasts of the rest are
scored, as a backtest of one split does; then the winner is fitted to the whole log.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from bayes_clv import arguments
from bayes_clv.data.given_log import Log, as_log
from bayes_clv.errors import InputError
from bayes_clv.evaluation.backtest.fit_and_score import INNER_DRAWS, inner_scores
from bayes_clv.evaluation.backtest.fits import Fits
from bayes_clv.evaluation.backtest.methods import Method
from bayes_clv.evaluation.backtest.splits import Split
from bayes_clv.inference.options import Segmentation
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.posterior.choices import SegmentChoice

HELD_OUT = 3  # the last third of the log
_FEWEST_DAYS = 12  # as in a backtest


def choose_segments(
    transactions: Log,
    candidates: Mapping[str, Segmentation],
    *,
    fallback: str,
    landmarks: int = 4,
    dropout: Dropout | Literal["auto"] = "auto",
    reactivation: bool | None = None,
    soft_fit: bool | None = None,
    seed: int = 0,
    on_step: Callable[[str, int, int], None] = lambda words, done, total: None,
) -> SegmentChoice:
    """Choose the segmentation with the best forecasts of the last third of a log.

    Parameters
    ----------
    transactions
        The log, or what ``read_transactions`` reads without options.
    candidates
        Segmentations by name, as for ``HierarchicalBetaGeo``. One that the first two thirds cannot
        carry is left out.
    fallback
        The candidate for logs that are too short: less than twelve days, or nobody bought twice in
        the first two thirds.
    landmarks, dropout, reactivation, soft_fit, seed
        As for ``HierarchicalBetaGeo``, and of its fit.
    on_step
        Called with the name of the candidate, the number of those done, and the number of all.

    Raises
    ------
    InputError
        If an argument is invalid.
    """
    transactions = as_log(transactions)
    fallback = arguments.choice("fallback", fallback, list(candidates))
    settings = SamplerSettings(INNER_DRAWS, seed=seed)
    methods = [
        Method(
            name,
            segmenter,
            landmarks if segmenter is not None else 1,
            dropout,
            reactivation=reactivation,
            soft_fit=soft_fit,
        )
        for name, segmenter in candidates.items()
    ]
    days = (transactions.end - transactions.start).days
    if days < _FEWEST_DAYS:
        return SegmentChoice(fallback)
    split = Split(transactions.end - dt.timedelta(days=days // HELD_OUT), days // HELD_OUT)
    scores, fits = {}, Fits()
    for done, method in enumerate(methods):
        on_step(f"comparing segments: {method.name}", done, len(methods))
        try:
            found = inner_scores([method], transactions, split, settings, fits)
        except InputError:
            continue
        scores[method.name] = float(found.mean())
    on_step("comparing segments", len(methods), len(methods))
    if not scores or not np.isfinite(list(scores.values())).all():
        return SegmentChoice(fallback)
    best = max(scores, key=scores.__getitem__)
    return SegmentChoice(best, split.origin, split.horizon, scores)
