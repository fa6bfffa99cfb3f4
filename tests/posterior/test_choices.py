"""A choice says in one line what was chosen, and by which figures."""

import json

import pytest

from bayes_clv.models.bgnbd import Dropout
from bayes_clv.posterior.choices import DropoutChoice, is_tie

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
