"""Churn and purchases of customers without contracts: hierarchical Bayesian BG/NBD.

Names are loaded when they are first used, so that a service that only answers never imports the
sampler.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayes_clv.data.datasets import load_cdnow
    from bayes_clv.data.reading import read_transactions
    from bayes_clv.data.rfm import customers, durations, summarise
    from bayes_clv.data.transactions import Transactions
    from bayes_clv.inference.estimator import HierarchicalBetaGeo
    from bayes_clv.models.bgnbd import Dropout
    from bayes_clv.models.priors import ComponentPrior, Priors
    from bayes_clv.plots import plot_segment_comparison
    from bayes_clv.posterior.posterior import Posterior, load_posterior
    from bayes_clv.segments.estimators import KMeansSegmenter, RFMSegmenter

_HOME = {
    "ComponentPrior": "bayes_clv.models.priors",
    "Dropout": "bayes_clv.models.bgnbd",
    "HierarchicalBetaGeo": "bayes_clv.inference.estimator",
    "KMeansSegmenter": "bayes_clv.segments.estimators",
    "Posterior": "bayes_clv.posterior.posterior",
    "Priors": "bayes_clv.models.priors",
    "RFMSegmenter": "bayes_clv.segments.estimators",
    "Transactions": "bayes_clv.data.transactions",
    "customers": "bayes_clv.data.rfm",
    "durations": "bayes_clv.data.rfm",
    "load_cdnow": "bayes_clv.data.datasets",
    "load_posterior": "bayes_clv.posterior.posterior",
    "plot_segment_comparison": "bayes_clv.plots",
    "read_transactions": "bayes_clv.data.reading",
    "summarise": "bayes_clv.data.rfm",
}

__all__ = [
    "ComponentPrior",
    "Dropout",
    "HierarchicalBetaGeo",
    "KMeansSegmenter",
    "Posterior",
    "Priors",
    "RFMSegmenter",
    "Transactions",
    "customers",
    "durations",
    "load_cdnow",
    "load_posterior",
    "plot_segment_comparison",
    "read_transactions",
    "summarise",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bayes_clv' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
