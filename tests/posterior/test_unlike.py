import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bayes_clv.data.datasets import load_cdnow
from bayes_clv.data.reading import read_transactions
from bayes_clv.posterior.unlike import unlike

# The posteriors made by hand have the parameters that were published for CDNOW, and its days.


@pytest.fixture(scope="module")
def cdnow() -> pd.DataFrame:
    return load_cdnow(sample=True).table.to_pandas()


@pytest.fixture(scope="module")
def posterior(posterior_by_hand):
    return posterior_by_hand(spend=True)


def compared(posterior, log: pd.DataFrame, **changed):
    return unlike(posterior, read_transactions(log.assign(**changed), start="1900-01-01"))


def test_the_log_of_the_fit_is_like_itself(posterior, cdnow):
    assert compared(posterior, cdnow) == ()


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (-300, None),
        (-545, None),
        (-546, "it ends 1 days before the model's begins"),
        (545, None),
        (546, "it ends 546 days later, more than 545"),
        (911, "it begins 366 days later, more than 365"),
        (3 * 365 + 1, "it begins 551 days later"),
    ],
)
def test_a_log_of_another_time_is_told(posterior, cdnow, days, words):
    lines = compared(posterior, cdnow, date=pd.to_datetime(cdnow["date"]) + pd.Timedelta(days, "D"))
    assert len(lines) == (words is not None)
    assert words is None or words in lines[0]


def test_a_model_of_a_short_log_serves_for_a_year(posterior, cdnow):
    short = replace(posterior, record=replace(posterior.record, start=dt.date(1998, 4, 1)))
    dates = pd.to_datetime(cdnow["date"])
    assert compared(short, cdnow, date=dates + pd.Timedelta(365, "D")) == ()
    (line,) = compared(short, cdnow, date=dates + pd.Timedelta(366, "D"))
    assert "it ends 366 days later, more than 365" in line


@pytest.mark.parametrize("factor", [0.2, 5, 150])
def test_amounts_in_another_currency_are_told(posterior, cdnow, factor):
    (line,) = compared(posterior, cdnow, amount=cdnow["amount"] * factor)
    assert "customers spend" in line
    assert "35.10 in the model's log" in line
    assert "more than 4" in line
    assert "--amount" in line


@pytest.mark.parametrize("factor", [0.4, 3])
def test_other_prices_are_not_another_currency(posterior, cdnow, factor):
    assert compared(posterior, cdnow, amount=cdnow["amount"] * factor) == ()


def test_a_model_without_spend_compares_none(posterior_by_hand, cdnow):
    assert compared(posterior_by_hand(), cdnow, amount=cdnow["amount"] * 150) == ()


def some_buyers(n: int, purchases: int, days: int) -> pd.DataFrame:
    """n customers who buy every so many days, and a last day that all logs share."""
    k = np.arange(n * purchases)
    dates = pd.Timestamp("1997-06-01") + pd.to_timedelta(k // n * days, unit="D")
    return pd.DataFrame({"customer": k % n, "date": dates, "amount": 35.0})


@pytest.mark.parametrize(("n", "told"), [(19, False), (20, True)])
def test_the_spend_of_few_customers_is_not_compared(posterior, n, told):
    log = some_buyers(n, 2, 100)
    assert len(compared(posterior, log, amount=1000.0)) == told


def test_customers_who_seem_to_buy_daily_are_told(posterior):
    (line,) = compared(posterior, some_buyers(50, 20, 1))
    assert "came back on 950 days" in line
    assert "more by a factor of" in line
    assert "--date" in line


def test_customers_who_hardly_come_back_are_told(posterior, cdnow):
    first = cdnow.drop_duplicates("customer_id")
    (line,) = compared(posterior, first)
    assert "came back on 0 days" in line
    assert "fewer by a factor of inf" in line


def test_a_handful_of_purchases_is_no_rate(posterior):
    assert compared(posterior, some_buyers(1, 20, 1)) == ()
