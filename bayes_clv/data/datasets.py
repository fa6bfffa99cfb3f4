"""The embedded data: CDNOW, the standard benchmark of the field.

Fader & Hardie's log of 23,570 customers who first bought at the CD retailer CDNOW in the first
quarter of 1997; 69,659 transactions with daily dates from 1997-01-01 to 1998-06-30. A column marks
the 1/10 sample that the published BG/NBD and Pareto/NBD figures are based on.
`bayes_clv/data/README.md` gives the source and the licence.
"""

import dataclasses
import datetime as dt
from importlib import resources

import pandas as pd

from bayes_clv.data.reading import read_transactions
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError

# The observation end of the full log and the sample; the last purchase may be earlier.
CDNOW_END = dt.date(1998, 6, 30)


def load_cdnow(*, sample: bool = False) -> Transactions:
    """Load CDNOW, all of it or the published 1/10 sample (2,357 customers, 6,919 rows).

    The 80 orders (8 in the sample) that cost nothing are kept, as in the published analyses.
    Amounts are US dollars.

    >>> load_cdnow(sample=True).ledger
    Ledger(rows_in=6919, rejected=())
    """
    if not isinstance(sample, bool):
        raise InputError(f"sample must be True or False: {sample!r}")
    with (resources.files("bayes_clv") / "data" / "cdnow.parquet").open("rb") as file:
        log = pd.read_parquet(file)
    if sample:
        log = log[log["in_sample"]]
    transactions = read_transactions(log, end=CDNOW_END, keep_zero_amounts=True)
    return dataclasses.replace(transactions, source="CDNOW, 1/10 sample" if sample else "CDNOW")
