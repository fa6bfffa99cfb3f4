"""Fit pymc-marketing's pooled BG/NBD: ``python -m benchmarks.peer.fit CUSTOMERS PRIORS``.

CUSTOMERS is a Parquet file with customer_id, frequency, recency and T. PRIORS is ``default``, for
the package's own, or a JSON object with our priors: the means and standard deviations of

    η = (ln(r/α), ln r, logit(a/(a+b)), ln(a+b)),   and the mean T that is the unit of α there.

The peer can be given exactly these priors. It already parametrises dropout by φ = a/(a+b) and
κ = a + b. It draws α before r, so the joint normal distribution of (ln α, ln r) is split into that
of ln α and that of ln r given ln α, with a prior for r that depends on α.
"""

import json
import math
import sys
import time

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
from arviz_stats import ess, rhat
from pymc_extras.prior import Prior
from pymc_marketing import __version__
from pymc_marketing.clv import BetaGeoModel

from benchmarks.harness import answer

PARAMETERS = ("r", "alpha", "a", "b")


class ShapeGivenAlpha:
    """ln r ~ Normal, given ln α, where ln α = ln r − ln(r/α) + ln(mean T)."""

    def __init__(self, rate: tuple[float, float], shape: tuple[float, float], log_alpha: float):
        self.mean, self.log_alpha = shape[0], log_alpha
        variance = shape[1] ** 2
        self.slope = variance / (variance + rate[1] ** 2)
        self.sd = shape[1] * math.sqrt(1 - self.slope)

    def create_variable(self, name: str, xdist: bool = False) -> pt.TensorVariable:
        alpha = pm.modelcontext(None)["alpha"]
        return pm.LogNormal(
            name, mu=self.mean + self.slope * (pt.log(alpha) - self.log_alpha), sigma=self.sd
        )


def model_config(rate, shape, dropout, concentration, mean_T: float) -> dict:
    """The peer's priors, each of ours a pair (mean, sd)."""
    log_alpha = shape[0] - rate[0] + math.log(mean_T)
    return {
        "alpha": Prior("LogNormal", mu=log_alpha, sigma=math.hypot(rate[1], shape[1])),
        "r": ShapeGivenAlpha(rate, shape, log_alpha),
        "phi_dropout": Prior("LogitNormal", mu=dropout[0], sigma=dropout[1]),
        "kappa_dropout": Prior("LogNormal", mu=concentration[0], sigma=concentration[1]),
    }


def main() -> None:
    customers = pd.read_parquet(sys.argv[1])
    config = None if sys.argv[2] == "default" else model_config(**json.loads(sys.argv[2]))
    began = time.perf_counter()
    model = BetaGeoModel(model_config=config)
    model.fit(
        customers,
        nuts_sampler="nutpie",
        draws=1000,
        tune=1000,
        chains=4,
        random_seed=0,
        progressbar=False,
    )
    seconds = time.perf_counter() - began
    draws = model.idata["posterior"].to_dataset()
    effective = {name: float(ess(draws, method="bulk")[name]) for name in draws.data_vars}
    worst = min(effective.values())
    answer(
        {
            "version": __version__,
            "seconds": seconds,
            "ess_bulk": worst,
            "ess_per_second": worst / seconds,
            "r_hat": float(np.max([float(it) for it in rhat(draws).data_vars.values()])),
            "divergences": int(model.idata["sample_stats"]["diverging"].sum()),
            "parameters": {
                name: [float(draws[name].mean()), float(draws[name].std()) / effective[name] ** 0.5]
                for name in PARAMETERS
            },
        }
    )


if __name__ == "__main__":
    main()
