"""A choice says in one line what was chosen, and by which figures."""

import datetime as dt
import json

import pytest

from bayes_clv.models.bgnbd import Dropout
from bayes_clv.posterior.choices import DropoutChoice, SegmentChoice, is_tie

BG, MBG = Dropout.AFTER_REPEAT, Dropout.AFTER_ANY
CHOICES = [
    DropoutChoice("auto", MBG, -9590.1, -9582.4, 1.25),
    DropoutChoice("auto", BG, -9582.4, -9590.1, 1.25),
    DropoutChoice("auto", BG, -100.0, -99.0, 3.0),
    DropoutChoice("auto", BG, -100.0, None, None),
    DropoutChoice("after_any", MBG),
]
WORDS = [
    "dropout: MBG/NBD (customers may leave after any purchase): log-likelihood −9,582.4 against "
    "−9,590.1 of BG/NBD",
    "dropout: BG/NBD (customers may leave after a repeat purchase): log-likelihood −9,582.4 "
    "against −9,590.1 of MBG/NBD",
    "dropout: BG/NBD (customers may leave after a repeat purchase): log-likelihood −100.0 "
    "against −99.0 of MBG/NBD, too close to decide",
    "dropout: BG/NBD (customers may leave after a repeat purchase): the log-likelihood of MBG/NBD "
    "cannot be computed",
    "dropout: MBG/NBD (customers may leave after any purchase), as asked for",
]


@pytest.mark.parametrize(("choice", "words"), zip(CHOICES, WORDS, strict=True), ids=range(5))
def test_a_choice_is_told_in_one_line(choice: DropoutChoice, words: str) -> None:
    assert choice.words == words


@pytest.mark.parametrize("choice", CHOICES, ids=range(5))
def test_a_choice_comes_back_from_json(choice: DropoutChoice) -> None:
    back = DropoutChoice.from_dict(json.loads(json.dumps(choice.to_dict(), allow_nan=False)))
    assert back == choice
    assert type(back.chosen) is Dropout


@pytest.mark.parametrize(
    ("gain", "error", "tied"),
    [(2.9, 1.5, True), (3.1, 1.5, False), (-9.0, 1.5, False), (1.9, 0.1, True), (2.1, 0.1, False)],
)
def test_two_standard_errors_or_two_units_are_the_border_of_a_tie(
    gain: float, error: float, tied: bool
) -> None:
    assert is_tie(gain, error) is tied
    assert DropoutChoice("auto", BG, -100.0, -100.0 + gain, error).tied is tied


SEGMENTS = SegmentChoice("rfm", dt.date(1998, 1, 1), 180, {"none": -0.56, "rfm": -0.55})


@pytest.mark.parametrize("choice", [SEGMENTS, SegmentChoice("rfm")], ids=["scored", "too short"])
def test_a_choice_of_segments_comes_back_from_json(choice: SegmentChoice) -> None:
    back = SegmentChoice.from_dict(json.loads(json.dumps(choice.to_dict(), allow_nan=False)))
    assert back == choice


def test_a_choice_of_segments_is_told_in_one_line() -> None:
    assert SEGMENTS.words == (
        "segments: rfm, by the log score of the 180 days after 1998-01-01: none −0.5600, "
        "rfm −0.5500"
    )
    assert SegmentChoice("rfm").words == (
        "segments: rfm, for the log is too short to compare segmentations"
    )
