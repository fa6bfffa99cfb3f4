import datetime as dt
import inspect
from pathlib import Path

import pandas as pd
import pytest

from bayes_clv.data.datasets import load_cdnow
from bayes_clv.data.rfm import customers, summarise

CALIBRATION_END = dt.date(1997, 9, 30)


def _published_log(name: str, **options: object) -> pd.DataFrame:
    datasets = pytest.importorskip("lifetimes.datasets", exc_type=ImportError)
    path = Path(inspect.getfile(datasets)).with_name(name)
    return pd.read_csv(path, sep=r"\s+", dtype={"date": str}, **options)


def test_cdnow_has_the_published_customers_rows_and_dates():
    cdnow = load_cdnow()
    assert cdnow.ledger.to_dict() == {"rows_in": 69_659, "rows_kept": 69_659, "rejected": {}}
    assert cdnow.table.customer_id.nunique().execute() == 23_570
    assert (cdnow.start, cdnow.end) == (dt.date(1997, 1, 1), dt.date(1998, 6, 30))
    assert cdnow.has_amounts
    assert cdnow.source == "CDNOW"


def test_cdnow_keeps_the_eighty_orders_that_cost_nothing():
    table = load_cdnow().table
    assert table.filter(table.amount == 0).count().execute() == 80


def test_the_cdnow_sample_has_the_published_figures_at_calibration_end():
    sample = load_cdnow(sample=True)
    states = summarise(sample, [CALIBRATION_END]).to_pandas()
    assert sample.ledger.rows_in == 6_919
    assert len(states) == 2_357
    assert states.frequency.sum() == 2_457
    assert (states.frequency == 0).sum() == 1_411
    assert states.frequency.max() == 29


def test_the_cdnow_sample_has_the_published_holdout_figures():
    sample = load_cdnow(sample=True)
    before, after = (
        summarise(sample, [day]).to_pandas().set_index("customer_id").frequency.sort_index()
        for day in (CALIBRATION_END, sample.end)
    )
    bought = after - before
    assert bought.sum() == 1_882
    assert (bought > 0).sum() == 684
    assert (bought[before == 0] > 0).sum() == 193


def test_the_embedded_file_is_the_published_log_row_by_row():
    published = _published_log("CDNOW_master.txt")
    sample = _published_log(
        "CDNOW_sample.txt", header=None, names=["customer_id", "sample_id", "date", "n", "value"]
    )
    embedded = pd.read_parquet(Path(inspect.getfile(load_cdnow)).with_name("cdnow.parquet"))
    assert len(embedded) == len(published) == 69_659
    assert (embedded.customer_id == published.customer_id).all()
    assert (pd.to_datetime(embedded.date) == pd.to_datetime(published.date)).all()
    assert (embedded.quantity == published.number_of_cds).all()
    assert (embedded.amount == published.dollar_value).all()
    assert set(embedded.customer_id[embedded.in_sample]) == set(sample.customer_id)
    assert embedded.in_sample.sum() == len(sample) == 6_919


def test_every_load_is_independent_of_the_others():
    first, second = load_cdnow(sample=True), load_cdnow()
    assert len(customers(first)) == 2_357
    assert len(customers(second)) == 23_570
