"""What is kept about a fit goes through JSON and comes back as it was."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, fields, replace

import numpy as np
import pytest
import xarray as xr

from bayes_clv.data.ledger import Ledger
from bayes_clv.errors import InputError
from bayes_clv.models.priors import Priors
from bayes_clv.posterior.comparison import SegmentComparison
from bayes_clv.posterior.diagnostics import Diagnostics
from bayes_clv.posterior.fit_record import FitRecord
from bayes_clv.posterior.posterior import Posterior


@pytest.fixture(scope="module")
def record(posterior_by_hand: Callable[..., Posterior]) -> FitRecord:
    return posterior_by_hand().record


def test_a_record_comes_back_from_json_with_every_field_and_type(record: FitRecord) -> None:
    back = FitRecord.from_dict(json.loads(json.dumps(record.to_dict(), allow_nan=False)))
    assert back == record
    for field in fields(FitRecord):
        value, original = getattr(back, field.name), getattr(record, field.name)
        assert type(value) is type(original), field.name
    assert all(type(date) is dt.date for date in (back.start, back.end, *back.landmarks))
    assert back.ledger.rejected == (("no customer", 3), ("not a sale", 80)), "in their order"
    assert back.priors != Priors(), "the priors of this record are not the default ones"


def test_a_record_is_described_by_exactly_its_fields(record: FitRecord) -> None:
    assert list(record.to_dict()) == [field.name for field in fields(FitRecord)]
    assert record.to_dict()["landmarks"] == ["1997-09-30", "1998-06-30"]
    assert record.to_dict()["ledger"]["rows_kept"] == 69_659 - 83


def test_what_was_stored_is_not_changed_by_reading_it(record: FitRecord) -> None:
    stored = record.to_dict()
    before = json.dumps(stored)
    FitRecord.from_dict(stored)
    assert json.dumps(stored) == before


def test_a_record_from_before_there_were_warnings_has_none(record: FitRecord) -> None:
    stored = record.to_dict()
    assert stored.pop("warnings") == ["only 12 customers came back · été"]
    assert FitRecord.from_dict(stored) == replace(record, warnings=())


def test_a_record_from_before_the_dropout_rule_was_chosen_has_no_choice(record: FitRecord) -> None:
    stored = record.to_dict()
    assert stored.pop("dropout")["chosen"] == "after_repeat"
    assert FitRecord.from_dict(stored) == replace(record, dropout=None)


NEEDED = [field.name for field in fields(FitRecord) if field.default is MISSING]


@pytest.mark.parametrize("name", NEEDED)
def test_a_record_without_one_of_its_fields_is_not_read(record: FitRecord, name: str) -> None:
    stored = record.to_dict()
    del stored[name]
    with pytest.raises((KeyError, TypeError), match=name):
        FitRecord.from_dict(stored)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("start", "1997-13-01"),
        ("end", "yesterday"),
        ("landmarks", ["1997-09-31"]),
        ("ledger", {"rows_in": 3, "rows_kept": 4, "rejected": {}}),
        ("ledger", {"rows_in": 3, "rows_kept": 3.0, "rejected": {}}),
    ],
)
def test_a_record_with_an_impossible_date_or_ledger_is_not_read(
    record: FitRecord, name: str, value: object
) -> None:
    with pytest.raises(ValueError, match=r"month|day|isoformat|ledger"):
        FitRecord.from_dict(record.to_dict() | {name: value})


def test_records_and_verdicts_cannot_be_changed(record: FitRecord) -> None:
    with pytest.raises(FrozenInstanceError):
        record.draws = 1  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Diagnostics(1.0, 1.0, 1.0, 0, 1.0, ()).complaints = ("no",)  # type: ignore[misc]


def test_a_ledger_adds_up_or_is_not_made() -> None:
    ledger = Ledger(10, (("no date", 2), ("cancelled", 3)))
    assert ledger.rows_kept == 5
    assert Ledger.from_dict(json.loads(json.dumps(ledger.to_dict()))) == ledger
    once = "each reason once, with a positive count"
    for rejected, words in (
        ((("no date", 11),), "must not count more rows than rows_in, 10: 11"),
        ((("no date", 0),), once),
        ((("no date", 1), ("no date", 2)), once),
    ):
        with pytest.raises(InputError, match=words):
            Ledger(10, rejected)


@pytest.mark.parametrize("complaints", [(), ("R-hat is 1.2000, it must be below 1.01", "x")])
def test_a_verdict_comes_back_from_json_and_says_whether_it_is_sound(
    complaints: tuple[str, ...],
) -> None:
    verdict = Diagnostics(1.0034, 512.25, 498.5, len(complaints), 0.81, complaints)
    stored = json.loads(json.dumps(verdict.to_dict()))
    assert stored["sound"] is (not complaints)
    assert Diagnostics.from_dict(stored) == verdict
    assert Diagnostics.from_dict(stored | {"sound": not verdict.sound}).sound is verdict.sound


# The comparison alone, from draws that can be counted on the fingers


def comparison() -> SegmentComparison:
    alive = [[0.1, 0.2, 0.3, 0.4], [0.2, 0.2, 0.2, 0.2], [0.9, 0.9, 0.9, 0.9]]
    values = np.array(alive)
    draws = xr.Dataset(
        {
            "customers": ("segment", np.array([5, 1, 2])),
            "prob_alive": (("segment", "sample"), values),
            "buys_again": (("sample", "segment"), values.T[:, ::-1] / 2),  # dimensions by name
            "expected_purchases": (("segment", "sample"), values * 3),
        },
        coords={"segment": ["a", "b", "c"]},
        attrs={"horizon": 90.0},
    )
    return SegmentComparison(draws, level=0.5)


def test_the_table_holds_means_and_equal_tailed_bounds_of_the_draws() -> None:
    table = comparison().table
    assert table.index.name == "segment"
    assert table["customers"].to_dict() == {"a": 5, "b": 1, "c": 2}
    columns = ["prob_alive", "prob_alive_lower", "prob_alive_upper"]
    np.testing.assert_allclose(table.loc["a", columns].to_list(), [0.25, 0.175, 0.325])
    assert table.loc["a", "expected_purchases"] == pytest.approx(0.75)
    assert table.loc["c", "buys_again"] == pytest.approx(0.125)


def test_pairwise_probabilities_count_draws_and_a_tie_is_not_below() -> None:
    churns_more, buys_less = comparison().churns_more, comparison().buys_less
    assert churns_more.to_numpy().tolist() == [[0, 0.25, 1], [0.5, 0, 1], [0, 0, 0]]
    assert buys_less.to_numpy().tolist() == [[0, 0, 0], [1, 0, 0.5], [1, 0.25, 0]]
    assert (churns_more.index.name, churns_more.columns.name) == ("segment", "than")


def test_a_verdict_comes_back_with_its_remarks_and_older_ones_have_none() -> None:
    remark = "2 of 4,000 transitions diverged, no more than 1 in 1,000"
    verdict = Diagnostics(1.001, 2000.0, 1800.0, 2, 0.9, (), (remark,))
    stored = json.loads(json.dumps(verdict.to_dict()))
    assert stored["sound"] is True
    assert Diagnostics.from_dict(stored) == verdict
    del stored["remarks"]
    assert Diagnostics.from_dict(stored) == replace(verdict, remarks=())


def test_of_two_verdicts_the_worse_figures_and_all_words_are_kept() -> None:
    purchases = Diagnostics(1.001, 2000.0, 900.0, 2, 0.9, (), ("2 diverged",))
    spend = Diagnostics(1.02, 1500.0, 1800.0, 1, 0.8, ("R-hat is 1.02",), ("1 diverged",))
    both = purchases.joined(spend, "spend")
    assert both == Diagnostics(
        1.02, 1500.0, 900.0, 3, 0.8, ("spend: R-hat is 1.02",), ("2 diverged", "spend: 1 diverged")
    )
