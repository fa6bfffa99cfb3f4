"""P(alive) by pymc-marketing: ``python -m benchmarks.peer.alive CUSTOMERS DRAWS``.

CUSTOMERS is a Parquet file with customer_id, frequency, recency and T; DRAWS an .npz file with
r, alpha, a and b, (chain, draw), which take the place of a fit.
"""

import sys
import time

import numpy as np
import pandas as pd
import xarray as xr
from pymc_marketing import __version__
from pymc_marketing.clv import BetaGeoModel

from benchmarks.harness import answer, peak_mb


def main() -> None:
    customers, draws = pd.read_parquet(sys.argv[1]), np.load(sys.argv[2])
    model = BetaGeoModel()
    model.build_model(customers)
    variables = {name: (("chain", "draw"), draws[name]) for name in draws.files}
    model.idata = xr.DataTree.from_dict({"posterior": xr.Dataset(variables)})
    began = time.perf_counter()
    alive = model.expected_probability_alive(customers)
    seconds, peak = time.perf_counter() - began, peak_mb()
    mean = alive.mean(("chain", "draw"))
    alive.quantile([0.05, 0.95], ("chain", "draw"))
    answer(
        {
            "version": __version__,
            "seconds": seconds,
            "peak_of_draws_mb": peak,
            "seconds_with_interval": time.perf_counter() - began,
            "mean": mean.to_numpy().tolist(),
        }
    )


if __name__ == "__main__":
    main()
