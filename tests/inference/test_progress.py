"""What a fit says of itself while it works."""

import pytest

from bayes_clv.inference.progress import Stages


def work(stages: Stages) -> None:
    with stages:
        stages.begin("learning [segments]")
        stages.begin("sampling", 4_800)
        stages.update(1_200, "1 divergent")
        stages.warn("few customers [came] back")
        stages.warn("")
        stages.begin("comparing segments")


def test_without_a_terminal_each_stage_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    work(Stages(show=True, tell=told.append))
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err.splitlines() == [
        "learning [segments] …",
        "sampling …",
        "Warning: few customers [came] back",
        "comparing segments …",
    ]
    assert told == ["learning [segments]", "sampling", "comparing segments"]


def test_in_a_terminal_there_are_bars(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "120")
    work(Stages(show=True))
    seen = capsys.readouterr().err
    for words in ("learning [segments]", "sampling", "1,200", "1 divergent", "Warning: few"):
        assert words in seen
    assert "━" in seen


def test_nothing_is_shown_unless_it_is_wanted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    work(Stages())
    assert capsys.readouterr() == ("", "")


def test_what_fails_in_the_middle_leaves_no_bar_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")

    def fail() -> None:
        with Stages(show=True) as stages:
            stages.begin("sampling", 100)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with Stages(show=True) as others:  # two live displays at once are an error
        others.begin("sampling", 100)
