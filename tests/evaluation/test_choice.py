"""The segmentation that forecasts best is chosen, from the past alone."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from bayes_clv.data.datasets import load_cdnow
from bayes_clv.data.reading import read_transactions
from bayes_clv.errors import InputError
from bayes_clv.evaluation import choice as module
from bayes_clv.evaluation.choice import choose_segments
from bayes_clv.posterior.choices import SegmentChoice
from bayes_clv.segments.estimators import KMeansSegmenter, RFMSegmenter

CANDIDATES = {"none": None, "rfm": RFMSegmenter(), "kmeans": KMeansSegmenter(3)}


def test_the_last_third_of_the_log_decides() -> None:
    log = load_cdnow(sample=True)
    found = choose_segments(log, CANDIDATES, fallback="rfm", seed=1)
    days = (log.end - log.start).days
    assert found.horizon == days // 3
    assert found.origin == log.end - dt.timedelta(days=days // 3)
    assert list(found.scores) == list(CANDIDATES)
    assert found.chosen == max(found.scores, key=lambda name: found.scores[name])


@pytest.mark.parametrize("best", CANDIDATES)
def test_the_best_mean_log_score_wins(best: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stand_in(methods, log, split, settings, fits):  # type: ignore[no-untyped-def]
        assert log.end == split.end
        return np.array([[-0.5 if methods[0].name == best else -0.6], [-0.2]])

    monkeypatch.setattr(module, "inner_scores", stand_in)
    found = choose_segments(load_cdnow(sample=True), CANDIDATES, fallback="rfm")
    assert found.chosen == best
    assert found.scores[best] == pytest.approx(-0.35)


def test_a_candidate_that_the_log_cannot_carry_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def stand_in(methods, log, split, settings, fits):  # type: ignore[no-untyped-def]
        if methods[0].name == "kmeans":
            raise InputError("too few distinct states")
        return np.full((3, 1), -1.0)

    monkeypatch.setattr(module, "inner_scores", stand_in)
    found = choose_segments(load_cdnow(sample=True), CANDIDATES, fallback="rfm")
    assert list(found.scores) == ["none", "rfm"]


@pytest.mark.parametrize("end", ["2024-01-08", "2024-02-29"])
def test_a_log_that_is_too_short_falls_back_and_says_so(end: str) -> None:
    """A week; and two months in which nobody bought twice before the last third."""
    days = ["2024-01-01", "2024-01-02"] * 9
    frame = pd.DataFrame({"customer_id": range(18), "date": days, "amount": 1.0})
    again = frame.assign(date=end)
    log = read_transactions(pd.concat([frame, again]))
    found = choose_segments(log, CANDIDATES, fallback="rfm")
    assert found == SegmentChoice("rfm")
    assert "too short" in found.words


def test_the_fallback_is_one_of_the_candidates() -> None:
    with pytest.raises(InputError, match="fallback must be one of"):
        choose_segments(load_cdnow(sample=True), CANDIDATES, fallback="best")
