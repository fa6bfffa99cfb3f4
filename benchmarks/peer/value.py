"""Forecast spend by a peer: ``python -m benchmarks.peer.value CUSTOMERS METHOD DAYS OUT``.

CUSTOMERS is a Parquet file with customer_id, frequency, recency, T (days) and monetary_value. The
forecast is the peer's own customer lifetime value without a discount: expected purchases in DAYS
times the expected spend per purchase. pymc-marketing averages the draws of spend first; its
durations are in weeks, for which its priors are made. The result is written to OUT, an .npz file:
``expected (customer)`` and ``total (draw)``, the draws of the total spend.
"""

import sys
import time
from importlib.metadata import version

import numpy as np
import pandas as pd

from benchmarks.harness import answer
from benchmarks.peer.parameters import CHAINS, DAYS, DRAWS, TUNE


def pymc_marketing(customers: pd.DataFrame, days: float) -> dict[str, np.ndarray]:
    from pymc_marketing.clv import BetaGeoModel, GammaGammaModel

    customers = customers.assign(recency=customers.recency / DAYS, T=customers["T"] / DAYS)
    how = {
        "nuts_sampler": "nutpie",
        "draws": DRAWS,
        "tune": TUNE,
        "chains": CHAINS,
        "random_seed": 0,
        "progressbar": False,
    }
    purchases, spend = BetaGeoModel(), GammaGammaModel()
    purchases.fit(customers, **how)
    spend.fit(customers[(customers.frequency > 0) & (customers.monetary_value > 0)], **how)
    bought = purchases.expected_purchases(customers, future_t=days / DAYS)
    each = spend.expected_customer_spend(customers).mean(("chain", "draw"))
    values = bought * each.to_numpy()
    return {
        "expected": values.mean(("chain", "draw")).to_numpy(),
        "total": values.sum("customer_id").to_numpy().ravel(),
    }


def lifetimes(customers: pd.DataFrame, days: float) -> dict[str, np.ndarray]:
    from lifetimes import BetaGeoFitter, GammaGammaFitter

    state = [customers[name] for name in ("frequency", "recency", "T")]
    purchases, spend = BetaGeoFitter(penalizer_coef=0.0), GammaGammaFitter(penalizer_coef=0.0)
    purchases.fit(*state)
    known = customers[(customers.frequency > 0) & (customers.monetary_value > 0)]
    spend.fit(known.frequency, known.monetary_value)
    bought = purchases.conditional_expected_number_of_purchases_up_to_time(days, *state)
    each = spend.conditional_expected_average_profit(customers.frequency, customers.monetary_value)
    expected = (bought * each).to_numpy()
    return {"expected": expected, "total": expected.sum(keepdims=True)}


METHODS = {"pymc-marketing": pymc_marketing, "lifetimes": lifetimes}


def main() -> None:
    path, method, days, target = sys.argv[1:]
    began = time.perf_counter()
    found = METHODS[method](pd.read_parquet(path), float(days))
    np.savez(target, **found)
    answer({"version": version(method), "seconds": time.perf_counter() - began})


if __name__ == "__main__":
    main()
