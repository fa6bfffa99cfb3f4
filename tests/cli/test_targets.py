"""No command destroys what it reads, or what is not of the kind that it writes."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from bayes_clv.cli.commands import app
from bayes_clv.cli.figures import _BEGINNINGS
from bayes_clv.cli.fit import _name_if_unsound
from bayes_clv.data.datasets import load_cdnow
from bayes_clv.posterior.posterior import Posterior
from tests.conftest import posterior_of

ENDINGS = {"fit": "clv", "predict": "parquet", "segments": "png", "backtest": "png"}
FIT = ["--draws", "700", "--tune", "500", "--chains", "2", "--segments", "none", "--no-spend"]


@pytest.fixture(scope="module")
def posterior() -> Posterior:
    return posterior_of()


@pytest.fixture
def place(
    posterior: Posterior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, bytes]:
    """Work in a folder with a log, the same log under each command's ending, and a model."""
    monkeypatch.chdir(tmp_path)
    rows = load_cdnow(sample=True).table.to_pandas()
    rows[rows["customer_id"].isin(rows["customer_id"].unique()[:200])].to_csv("log.csv")
    Path("deep").mkdir()
    for ending in {*ENDINGS.values(), "csv"}:
        shutil.copy("log.csv", f"input.{ending}")
    posterior.save("model.clv")
    return contents()


def contents() -> dict[str, bytes]:
    return {str(each): each.read_bytes() for each in sorted(Path().rglob("*")) if each.is_file()}


def arguments(command: str, source: str, target: str, *, force: bool = False) -> list[str]:
    option = {"fit": "--out", "predict": "--out"}.get(command, "--plot")
    model = ["model.clv"] if command in ("predict", "segments") else []
    return [command, *model, source, f"{option}={target}", *(["--force"] if force else [])]


def refusal(words: list[str]) -> str:
    """Run a command that must fail with exit code 2 and one line."""
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


def link(name: str, kind: str) -> None:
    {"symlink": os.symlink, "hard link": os.link}[kind](name, f"other{Path(name).suffix}")


SPELLINGS: dict[str, Callable[[str], str]] = {
    "relative": lambda name: name,
    "absolute": lambda name: str(Path(name).absolute()),
    "dots": lambda name: f"deep/../{name}",
    "symlink": lambda name: f"other{Path(name).suffix}",
    "hard link": lambda name: f"other{Path(name).suffix}",
}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(("command", "ending"), ENDINGS.items())
def test_an_input_is_never_replaced(
    place: dict[str, bytes], command: str, ending: str, spelling: str, force: bool
) -> None:
    name = f"input.{ending}"
    if spelling in ("symlink", "hard link"):
        link(name, spelling)
    before = contents()
    line = refusal(arguments(command, name, SPELLINGS[spelling](name), force=force))
    assert f"cannot be written: it is an input, {name}" in line
    assert contents() == before


@pytest.mark.parametrize("force", [False, True])
def test_a_model_that_is_read_is_not_replaced(place: dict[str, bytes], force: bool) -> None:
    shutil.copy("model.clv", "model.png")
    before = contents()
    words = ["segments", "model.png", "--plot", "model.png", *(["--force"] if force else [])]
    assert "it is an input, model.png" in refusal(words)
    words = ["predict", "input.csv", "log.csv", "--out", "input.csv"]
    assert "it is an input, input.csv" in refusal(words)
    assert contents() == before


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        ("parts", "parts/a.parquet", "it is an input, parts"),
        ("parts", "parts/new.parquet", "it would become a part of the input parts"),
        ("parts/*.parquet", "parts/a.parquet", "it is an input, parts/*.parquet"),
        ("parts/*.parquet", "parts/new.parquet", "it would become a part of the input"),
        ("**/*.parquet", "parts/deep/new.parquet", "it would become a part of the input"),
        ("parts", "alias.parquet", "it is an input, parts"),
        ("parts", "into.parquet", "it would become a part of the input parts"),
        ("duckdb://shop.parquet", "shop.parquet", "it is an input, duckdb://shop.parquet"),
        ("duckdb://./shop.parquet?read_only=True", "shop.parquet", "it is an input"),
        ("sqlite://shop.parquet", "shop.parquet", "it is an input"),
    ],
)
def test_what_a_folder_a_pattern_or_a_database_holds_is_an_input(
    place: dict[str, bytes], source: str, target: str, why: str
) -> None:
    Path("parts/deep").mkdir(parents=True)
    pd.DataFrame({"a": [1]}).to_parquet("parts/a.parquet")
    os.link("parts/a.parquet", "alias.parquet")
    os.symlink("parts/absent.parquet", "into.parquet")
    Path("shop.parquet").write_bytes(b"a database")
    before = contents()
    assert why in refusal(arguments("predict", source, target, force=True))
    assert contents() == before


def test_neither_a_databases_log_nor_the_table_that_an_engine_reads_is_written(
    place: dict[str, bytes],
) -> None:
    Path("shop.db").write_bytes(b"a database")
    for target in ("shop.db", "shop.db.wal"):
        words = ["fit", "duckdb://shop.db", "--table", "t", "--out", target, "--force"]
        assert "it is an input, duckdb://shop.db" in refusal(words)
    pd.DataFrame({"a": [1]}).to_parquet("t.parquet")
    words = ["predict", "model.clv", "duckdb://", "--table", "t.parquet", "--out", "t.parquet"]
    assert "it is an input, t.parquet" in refusal([*words, "--force"])


SPECIAL: dict[str, tuple[Callable[[str], object], str]] = {
    "directory": (os.mkdir, "it is a directory"),
    "FIFO": (os.mkfifo, "it is a FIFO"),
    "socket": (lambda name: socket.socket(socket.AF_UNIX).bind(name), "it is a socket"),
    "device": (lambda name: os.symlink("/dev/null", name), "it is a device"),
    "standard output": (lambda name: os.symlink("/dev/stdout", name), "it is a device"),
    "link loop": (lambda name: os.symlink(name, name), "Too many levels of symbolic links"),
    "file of another kind": (
        lambda name: Path(name).write_text("my diary"),
        "it exists and is not",
    ),
}


@pytest.mark.parametrize("special", SPECIAL)
@pytest.mark.parametrize(("command", "ending"), ENDINGS.items())
def test_only_files_of_its_kind_are_replaced(
    place: dict[str, bytes], command: str, ending: str, special: str
) -> None:
    create, why = SPECIAL[special]
    name = f"it.{ending}"
    create(name)
    before, kind = contents(), os.lstat(name).st_mode
    assert why in refusal(arguments(command, "absent.csv", name)), "before anything is read"
    if special != "file of another kind":
        assert why in refusal(arguments(command, "absent.csv", name, force=True))
    assert (contents(), os.lstat(name).st_mode) == (before, kind)


@pytest.mark.parametrize(("command", "ending"), ENDINGS.items())
def test_a_folder_that_is_not_there_or_takes_no_file_is_told_before_anything_is_read(
    place: dict[str, bytes], command: str, ending: str
) -> None:
    Path("broken").symlink_to("nowhere")
    folders = ["log.csv", "/proc"] + ([] if command == "fit" else ["broken", "absent"])
    for folder in folders:  # `fit` makes its folder, as it always did
        line = refusal(arguments(command, "absent.csv", f"{folder}/it.{ending}"))
        assert "cannot be written: " in line
    assert "names a directory" in refusal(arguments(command, "absent.csv", f"it.{ending}/"))


def test_what_the_first_fit_wrote_is_no_obstacle_to_the_second(place: dict[str, bytes]) -> None:
    Path("empty.clv").touch()
    Path("diary.clv").write_text("my diary")
    shutil.copy("model.clv", "older.clv")
    Path("cut.clv").write_bytes(place["model.clv"][:1000])
    for name, options in (("empty", []), ("older", []), ("cut", []), ("diary", ["--force"])):
        words = ["fit", "absent.csv", "--out", f"{name}.clv", *options]
        assert "absent.csv does not exist" in refusal(words), "the target is accepted"


def test_a_model_and_its_unsound_twin_must_be_two_files(place: dict[str, bytes]) -> None:
    os.symlink("model.clv", "model.unsound.clv")
    words = ["fit", "log.csv", "--out", "model.clv"]
    assert "the same file as model.clv" in refusal(words)
    shutil.copy("log.csv", "orders.unsound.csv")
    words = ["fit", "orders.unsound.csv", "--out", "orders.csv", "--force"]
    assert "orders.unsound.csv cannot be written: it is an input" in refusal(words)


def test_the_name_of_an_unsound_model_is_never_too_long() -> None:
    assert _name_if_unsound("a/model.clv") == "a/model.unsound.clv"
    assert _name_if_unsound("model") == "model.unsound"
    for name in ("é" * 125 + ".clv", "x" * 255, "a." + "y" * 253):
        assert len(os.fsencode(_name_if_unsound(name))) <= 255
        assert ".unsound" in _name_if_unsound(name)


NAMES = {
    "everything": os.fsdecode(b"caf\xe9 '\"\\\n\t*?[b]%s{0}$HOME;#.%s"),
    "markup": "-[bold]x.%s",
    "longest": "n" * 240 + ".%s",
}


@pytest.mark.parametrize("kind", NAMES)
def test_every_name_that_a_file_can_have_works(place: dict[str, bytes], kind: str) -> None:
    def written(ending: str, *words: str) -> tuple[str, str]:
        name = NAMES[kind].replace("%s", ending) if ending != "clv" else NAMES[kind][:-3] + "é.clv"
        folder = Path(os.fsdecode(b"\xff'\n"))
        folder.mkdir(exist_ok=True)
        target = str(folder / name)
        result = CliRunner().invoke(app, [word.replace("TARGET", target) for word in words])
        assert result.exit_code == 0, result.output
        assert os.path.getsize(target) > 1000
        assert not any(each.endswith(".tmp") for each in os.listdir(folder))
        return target, result.output

    model, printed = written("clv", "fit", "cdnow", "--out=TARGET", *FIT, "--json")
    facts = json.loads(printed[printed.index("{") :])
    assert facts["model"] == model
    shown = CliRunner().invoke(app, ["diagnose", model, "--json"])
    assert json.loads(shown.stdout)["version"] == facts["version"] != "unsaved"
    for ending in ("csv", "parquet"):
        _, printed = written(ending, "predict", model, "log.csv", "--out=TARGET", "--no-value")
        assert "198 customers written" in printed
    _, printed = written("png", "segments", model, "--plot=TARGET")
    assert printed.count("Figure written to ") == 1


def test_a_link_stays_a_link_and_a_file_keeps_its_permissions(place: dict[str, bytes]) -> None:
    predict = ["predict", "model.clv", "log.csv", "--no-value", "--out"]
    os.symlink("deep/scores.csv", "link.csv")  # to nothing yet
    for mode in (None, 0o640):
        if mode:
            os.chmod("deep/scores.csv", mode)
        assert CliRunner().invoke(app, [*predict, "link.csv"]).exit_code == 0
        assert os.readlink("link.csv") == "deep/scores.csv"
        assert len(pd.read_csv("deep/scores.csv")) == 198
        assert os.listdir("deep") == ["scores.csv"]
    assert os.stat("deep/scores.csv").st_mode & 0o777 == 0o640


@pytest.mark.parametrize("ending", sorted({*_BEGINNINGS, "raw"} - {"pgf"}))
def test_a_figure_of_every_format_is_recognised_when_it_is_drawn_again(
    place: dict[str, bytes], ending: str
) -> None:
    words = ["segments", "model.clv", "cdnow", "--plot", f"it.{ending}"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert os.path.getsize(f"it.{ending}") > 1000
    if ending == "raw":
        assert "it exists and is not a figure in RAW" in refusal(words)
    else:
        assert CliRunner().invoke(app, words).exit_code == 0


def test_money_refuses_the_options_that_it_cannot_use() -> None:
    words = ["backtest", "absent.csv", "--money", "--fast", "--plot", "it.png"]
    words += ["--n-segments", "3", "--landmarks", "2"]
    assert "--money does not use --plot, --fast, --n-segments, --landmarks" in refusal(words)
