"""Parameters by a peer: ``python -m benchmarks.peer.parameters CUSTOMERS METHOD DRAWS``.

CUSTOMERS is a Parquet file with customer_id, frequency, recency, T (days) and code, a segment from
0 on. METHOD is one of ``METHODS``. The result is written to DRAWS, an .npz file with r, alpha
(days), a and b, ``(segment, draw)``; if the method has no segments, there is one.

pymc-marketing has its default priors, with durations in weeks, the unit that those are made for. It
takes segments only as covariates, here 0 or 1, of the purchase rate and of dropout. lifetimes gives
one estimate, by maximum likelihood.
"""

import sys
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import pandas as pd

from benchmarks.harness import answer

NAMES = ("r", "alpha", "a", "b")
DAYS = 7.0
DRAWS, TUNE, CHAINS = 500, 1000, 4

type Found = dict[str, np.ndarray]


def pymc_marketing(customers: pd.DataFrame, *, modified: bool, segments: bool) -> Found:
    from pymc_marketing.clv import BetaGeoModel, ModifiedBetaGeoModel

    columns = [f"segment_{code}" for code in range(1, int(customers["code"].max()) + 1)]
    for code, column in enumerate(columns, start=1):
        customers[column] = (customers["code"] == code).astype(float)
    config = {"purchase_covariate_cols": columns, "dropout_covariate_cols": columns}
    model = (ModifiedBetaGeoModel if modified else BetaGeoModel)(
        model_config=config if segments else None
    )
    model.fit(
        customers,
        nuts_sampler="nutpie",
        draws=DRAWS,
        tune=TUNE,
        chains=CHAINS,
        random_seed=0,
        progressbar=False,
    )
    drawn = model.idata["posterior"].to_dataset()
    if not segments:
        return {name: drawn[name].to_numpy().reshape(1, -1) for name in NAMES}
    # All customers of a segment share its parameters: the first one stands for them.
    first = customers.drop_duplicates("code").sort_values("code")["customer_id"].to_numpy()
    by_segment = drawn[["alpha", "a", "b"]].sel(customer_id=first)
    found = {
        str(name): values.transpose("customer_id", "chain", "draw").to_numpy()
        for name, values in by_segment.data_vars.items()
    }
    flat = {name: values.reshape(len(first), -1) for name, values in found.items()}
    return flat | {"r": np.tile(drawn["r"].to_numpy().ravel(), (len(first), 1))}


def lifetimes(customers: pd.DataFrame, *, modified: bool) -> Found:
    from lifetimes import BetaGeoFitter, ModifiedBetaGeoFitter

    fitter = (ModifiedBetaGeoFitter if modified else BetaGeoFitter)(penalizer_coef=0.0)
    fitter.fit(*(customers[name] for name in ("frequency", "recency", "T")))
    return {name: np.array([[fitter.params_[name]]]) for name in NAMES}


METHODS: dict[str, tuple[str, Callable[[pd.DataFrame], Found]]] = {
    "pymc-marketing": (
        "pymc-marketing",
        lambda it: pymc_marketing(it, modified=False, segments=False),
    ),
    "pymc-marketing-mbg": (
        "pymc-marketing",
        lambda it: pymc_marketing(it, modified=True, segments=False),
    ),
    "pymc-marketing-segments": (
        "pymc-marketing",
        lambda it: pymc_marketing(it, modified=False, segments=True),
    ),
    "lifetimes": ("lifetimes", lambda it: lifetimes(it, modified=False)),
    "lifetimes-mbg": ("lifetimes", lambda it: lifetimes(it, modified=True)),
}


def main() -> None:
    customers, method, target = pd.read_parquet(sys.argv[1]), sys.argv[2], sys.argv[3]
    customers[["recency", "T"]] /= DAYS
    package, learn = METHODS[method]
    began = time.perf_counter()
    found = learn(customers)
    seconds = time.perf_counter() - began
    np.savez(target, **found | {"alpha": found["alpha"] * DAYS})
    answer({"version": version(package), "seconds": seconds})


if __name__ == "__main__":
    main()
