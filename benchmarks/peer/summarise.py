"""Customers from a log by a peer: ``python -m benchmarks.peer.summarise LOG pymc-marketing``.

LOG is a Parquet file with customer_id, date and amount; the peer is pymc-marketing or lifetimes.
"""

import sys
import time
from importlib.metadata import version

import pandas as pd

from benchmarks.harness import answer

REPEATS = 3


def main() -> None:
    log, peer = pd.read_parquet(sys.argv[1]), sys.argv[2]
    if peer == "lifetimes":
        from lifetimes.utils import summary_data_from_transaction_data as summarise
    else:
        from pymc_marketing.clv import rfm_summary as summarise
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        customers = summarise(log, "customer_id", "date", monetary_value_col="amount")
        seconds.append(time.perf_counter() - began)
    answer({"version": version(peer), "seconds": min(seconds), "customers": len(customers)})


if __name__ == "__main__":
    main()
