import datetime as dt

import numpy as np
import pandas as pd
import pytest

from bayes_clv.data.far_days import believe
from bayes_clv.data.reading import read_transactions

TODAY = dt.date(2026, 1, 1)
YEAR = [(dt.date(2023, 1, 1) + dt.timedelta(k), 6) for k in range(365)]
FIRST, LAST = YEAR[0][0], YEAR[-1][0]


def days(*more: tuple[str, int], among: list[tuple[dt.date, int]] = YEAR):
    return sorted([*among, *((dt.date.fromisoformat(day), rows) for day, rows in more)])


def test_a_year_of_daily_sales_is_believed():
    believed = believe(YEAR, today=TODAY)
    assert (believed.first, believed.last, believed.today, believed.findings) == (None,) * 3 + ((),)


@pytest.mark.parametrize(
    "far", [[("2024-12-21", 1)], [("2024-12-21", 3)], [("2024-05-01", 1), ("2025-05-01", 2)]]
)
def test_a_few_rows_long_after_all_others_do_not_set_the_end(far):
    believed = believe(days(*far), today=TODAY)
    assert (believed.first, believed.last) == (None, LAST)
    (finding,) = believed.findings
    for words in (far[0][0], f"of {2190 + sum(rows for _, rows in far):,}", "8 times", "--end"):
        assert words in finding.told
    assert f"(--end {far[-1][0]})" in finding.told


@pytest.mark.parametrize("far", [("1970-01-01", 1), ("1900-01-01", 200), ("2013-01-01", 3)])
def test_a_few_rows_long_before_all_others_do_not_set_the_start(far):
    believed = believe(days(far), today=TODAY)
    assert (believed.first, believed.last) == (FIRST, None)
    assert f"(--start {far[0]})" in believed.findings[0].told


def test_both_sides_are_judged_at_once():
    believed = believe(days(("0023-05-01", 1), ("1970-01-01", 9), ("2025-03-01", 2)), today=TODAY)
    assert (believed.first, believed.last, len(believed.findings)) == (FIRST, LAST, 2)


@pytest.mark.parametrize(("gap", "far"), [(30, False), (31, True)])
def test_a_day_is_far_from_thirty_days_on(gap, far):
    late = LAST + dt.timedelta(gap)
    assert (believe(days((str(late), 1)), today=TODAY).last is not None) == far


@pytest.mark.parametrize(("gap", "far"), [(56, False), (57, True)])
def test_a_day_is_far_from_eight_times_the_largest_other_gap_on(gap, far):
    weekly = YEAR[::7]
    late = weekly[-1][0] + dt.timedelta(gap)
    assert (believe(days((str(late), 1), among=weekly), today=TODAY).last is not None) == far


@pytest.mark.parametrize(("rows", "lost", "told"), [(3, 1, 1), (4, 0, 1), (115, 0, 1), (116, 0, 0)])
def test_what_comes_after_a_pause_is_kept_and_named_if_it_is_little(rows, lost, told):
    believed = believe(days(("2025-01-01", rows)), today=TODAY)
    assert (believed.last is not None, len(believed.findings)) == (bool(lost), told)


def test_in_a_large_log_a_thousandth_is_a_few_rows():
    large = [(day, 1000) for day, _ in YEAR]
    assert believe(days(("2025-01-01", 365), among=large), today=TODAY).last == LAST
    assert believe(days(("2025-01-01", 366), among=large), today=TODAY).last is None


def test_a_shop_with_long_silences_loses_nothing():
    slow = [(dt.date(2020, 1, 1) + dt.timedelta(int(k)), 1) for k in np.cumsum([40, 9, 75, 21] * 8)]
    assert believe(days(("2023-12-01", 1), among=slow), today=TODAY).findings == ()


def test_a_shop_of_two_seasons_keeps_the_second():
    summer = [day for day in YEAR if day[0].month in (6, 7)]
    again = [(day.replace(year=2024), rows) for day, rows in summer]
    assert believe(summer + again, today=TODAY).findings == ()


def test_few_days_tell_nothing_about_gaps():
    few = YEAR[:10]
    assert believe(days(("2024-06-01", 1), among=few), today=TODAY).last is None
    assert believe(days(("2024-06-01", 1), among=YEAR[:12]), today=TODAY).last == YEAR[11][0]


def test_a_default_date_is_not_believed_even_in_a_short_log():
    short = YEAR[:4]
    assert believe(days(("1970-01-01", 6), among=short), today=TODAY).first == FIRST
    assert believe(days(("1970-01-01", 7), among=short), today=TODAY).first is None
    # What others bought before such a day speaks for it.
    assert believe(days(("1969-05-01", 4), ("1970-01-01", 1)), today=TODAY).first is None
    assert believe(days(("1969-05-01", 3), ("1970-01-01", 1)), today=TODAY).first == FIRST
    # A log that begins on such a day has others near it.
    near = [(dt.date(1970, 1, 1) + dt.timedelta(k), 2) for k in range(300)]
    assert believe(near, today=TODAY).findings == ()


def test_what_is_after_today_is_not_believed():
    believed = believe(days(("2026-01-01", 5), ("2026-01-02", 400)), today=TODAY)
    assert believed.today == TODAY
    assert "400 of 2,595 (15%) after today, which is 2026-01-01" in believed.findings[0].told
    assert "(--end 2026-01-02)" in believed.findings[0].told


def test_where_much_is_after_today_the_clock_may_be_wrong():
    believed = believe(days(("2026-01-02", 600)), today=TODAY)
    assert (believed.today, believed.last) == (None, None)
    assert "the clock of this machine may be wrong" in believed.findings[0].told
    assert believe(YEAR, today=dt.date(2020, 1, 1)).today is None
    assert believe(days(("2026-01-02", 3), among=[(FIRST, 3)]), today=TODAY).today is None
    assert believe(days(("2026-01-02", 3), among=[(FIRST, 4)]), today=TODAY).today == TODAY


def test_a_day_that_the_caller_gave_is_believed():
    far = days(("1950-01-01", 1), ("2099-12-31", 1))
    given = {"start": dt.date(1950, 1, 1), "end": dt.date(2099, 12, 31)}
    assert believe(far, today=TODAY, **given).findings == ()
    one_side = believe(far, today=TODAY, end=given["end"])
    assert (one_side.first, one_side.last, one_side.today) == (FIRST, None, None)


def frame(*more: str) -> pd.DataFrame:
    dates = [str(day) for day, _ in YEAR] + list(more)
    return pd.DataFrame({"customer": [i % 50 for i in range(len(dates))], "date": dates})


def test_rows_that_are_not_believed_are_in_the_ledger_under_their_own_names():
    log = read_transactions(frame("1970-01-01", "2024-12-21", "2999-01-01"))
    assert log.ledger.rejected == (("after today", 1), ("far from all others", 2))
    assert (log.start, log.end) == (FIRST, LAST)
    assert log.table.count().execute() == log.ledger.rows_kept == 365
    assert len(log.report.warnings) == 3


def test_start_and_end_settle_what_is_believed():
    dates = frame("1970-01-01", "2024-12-21")
    log = read_transactions(dates, start="1970-01-01", end="2024-12-21")
    assert (log.start, log.end) == (dt.date(1970, 1, 1), dt.date(2024, 12, 21))
    assert log.ledger.rejected == log.report.warnings == ()
    log = read_transactions(dates, start="2023-02-01", end="2023-11-30")
    assert log.ledger.rejected == (("after the end", 32), ("before the start", 32))
    assert (log.start, log.end) == (dt.date(2023, 2, 1), dt.date(2023, 11, 30))
