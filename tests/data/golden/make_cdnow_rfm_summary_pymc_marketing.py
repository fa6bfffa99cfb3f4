"""Make cdnow_rfm_summary_pymc_marketing.csv.gz: what a peer makes of CDNOW at calibration end.

pymc-marketing is too heavy to be a test dependency, so its answer is kept beside the tests. In an
environment with pymc-marketing 1.3.0 and lifetimes 0.11.3 (for its copy of the log), run

    python make_cdnow_rfm_summary_pymc_marketing.py path/to/CDNOW_master.txt
"""

import sys
from pathlib import Path

import pandas as pd
import pymc_marketing
from pymc_marketing.clv.utils import rfm_summary

END = "19970930"  # in datetime_format, as rfm_summary wants it
TARGET = Path(__file__).with_name("cdnow_rfm_summary_pymc_marketing.csv.gz")


def main() -> None:
    if pymc_marketing.__version__ != "1.3.0":
        raise SystemExit(f"needs pymc-marketing 1.3.0; found {pymc_marketing.__version__}")
    log = pd.read_csv(sys.argv[1], sep=r"\s+", dtype={"date": str})
    summary = rfm_summary(
        log,
        customer_id_col="customer_id",
        datetime_col="date",
        monetary_value_col="dollar_value",
        datetime_format="%Y%m%d",
        observation_period_end=END,
    )
    columns = ["customer_id", "frequency", "recency", "T", "monetary_value"]
    summary[columns].to_csv(
        TARGET,
        index=False,
        float_format="%.12g",
        compression={"method": "gzip", "compresslevel": 9, "mtime": 0},
    )


if __name__ == "__main__":
    main()
