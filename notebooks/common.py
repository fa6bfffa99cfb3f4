"""What the notebooks share: reading data, fitting a model, showing results."""

import os
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from bayes_clv import HierarchicalBetaGeo, Posterior, Transactions, load_cdnow, read_transactions

FAST = os.environ.get("BAYES_CLV_FAST") == "1"  # the tests: a tenth of CDNOW, few draws
DRAWS = {"draws": 100, "tune": 100} if FAST else {"draws": 1000, "tune": 500}
RETAILER = "BAYES_CLV_RETAILER"  # the environment variable that names the retailer's file

plt.rcParams["figure.dpi"] = 62


def read(data: str, **columns: str) -> Transactions:
    """Read CDNOW, which comes with the package, or a file."""
    return load_cdnow(sample=FAST) if data == "cdnow" else read_transactions(data, **columns)


def retailer() -> Transactions | None:
    """Read Online Retail II from the file named in the environment, or from this folder."""
    here = sorted(Path().glob("online_retail_II*"))
    name = os.environ.get(RETAILER) or (str(here[0]) if here else "")
    if not name:
        print(
            "The retailer's file is not here. It is Online Retail II (UCI Machine Learning "
            "Repository, doi 10.24432/C5CG6D); put online_retail_II.xlsx beside this notebook, "
            f"or name it in {RETAILER}."
        )
        return None
    return read_transactions(name)


def fit(transactions: Transactions, *, draws: int | None = None, **how: Any) -> Posterior:
    """Fit the default model, or another, always with the same seed."""
    settings = DRAWS if draws is None or FAST else DRAWS | {"draws": draws}
    return HierarchicalBetaGeo(**how).fit(transactions, seed=1, **settings)


def show(drawn: Any) -> Any:
    """Return the figure of axes, or of a plot by ArviZ."""
    if hasattr(drawn, "viz"):
        return drawn.viz["figure"].item()
    return np.ravel(np.asarray(drawn, dtype=object))[0].figure


def with_interval(table: pd.DataFrame, name: str, form: str) -> pd.Series:
    """Format a measure with its interval."""
    columns = zip(table[name], table[f"{name}_lower"], table[f"{name}_upper"], strict=True)
    words = [f"{m:{form}} ({lo:{form}} to {hi:{form}})" for m, lo, hi in columns]
    return pd.Series(words, index=table.index)
