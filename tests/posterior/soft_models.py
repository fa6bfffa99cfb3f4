"""Posteriors by hand whose segments are soft, with and without reactivation."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bayes_clv.models.priors import ReactivationPriors
from bayes_clv.posterior.posterior import Posterior
from bayes_clv.segments.rules import KMeansRule, RFMRule, SegmentRule

type Make = Callable[..., Posterior]

RFM = RFMRule((14.0, 45.0, 110.0, 240.0), (1.0, 2.0, 5.0), (8.0, 15.0, 30.0, 60.0), 0.6)
KMEANS = KMeansRule(
    names=("frequent", "quiet", "new"),
    features=("idle_time", "frequency", "monetary_value"),
    location=(4.0, 1.0, 3.0),
    scale=(1.2, 0.6, 0.8),
    centroids=((-0.8, 1.1, 0.3), (1.0, -0.4, 0.1), (-0.2, -0.9, -0.5)),
    bandwidth=1.0,
)


def made(make: Make, rule: SegmentRule, *, again: bool, **options: object) -> Posterior:
    """A posterior by hand, with draws of reactivation where ``again``."""
    posterior = make(rule, spend=True, **options)
    if not again:
        return posterior
    tree, rng = posterior.tree.copy(), np.random.default_rng(12)
    draws = tree["posterior"].to_dataset()
    shape = draws["r_population"].shape
    for name, centre in (("reactivation", 0.05), ("r_afresh", 0.6), ("alpha_afresh", 80.0)):
        values = centre * np.exp(rng.normal(0, 0.3, shape))
        draws[name] = (("chain", "draw"), values)
    tree["posterior"] = draws
    record = replace(posterior.record, reactivation=ReactivationPriors())
    return replace(posterior, tree=tree, record=record)
