"""Model files that are damaged, fits that are cut off, full disks, logs with known faults."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from bayes_clv.data.cleaning import REASONS
from bayes_clv.data.datasets import load_cdnow
from bayes_clv.data.far_days import AFTER_TODAY, BEFORE_START, FAR
from bayes_clv.data.reading import read_transactions
from bayes_clv.data.report import SOURCE_REASONS
from bayes_clv.posterior.posterior import load_posterior
from tests.serving import ROOT

AT_WORK = b"looking for the posterior"
COMMAND = [sys.executable, "-c", "from bayes_clv.cli.commands import main; main()"]

# A child for each file, forked from a process that has imported everything.
REFUSALS = """
import json, os, random, sys
from bayes_clv.cli.commands import app
from bayes_clv.posterior.posterior import load_posterior
source, damaged, cuts, flips = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
good = open(source, "rb").read()
load_posterior(source)
rng = random.Random(700)

def answer(content):
    with open(damaged, "wb") as file:
        file.write(content)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        for descriptor in (1, 2):
            os.dup2(writing, descriptor)
        sys.argv = ["bayes-clv", "diagnose", damaged]
        code = 0
        try:
            app()
        except SystemExit as leaving:
            code = leaving.code or 0
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as output:
        printed = output.read()
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), printed]

def flipped():
    content = bytearray(good)
    content[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
    return bytes(content)

answers = [answer(good[: rng.randrange(len(good))]) for _ in range(cuts)]
answers += [answer(flipped()) for _ in range(flips)]
print(json.dumps([answer(good), answers]))
"""


@pytest.mark.long
def test_a_damaged_model_file_is_refused_in_one_line(models, size, figures, tmp_path):
    cuts, flips = size(20, 200), size(50, 500)
    damaged = tmp_path / "damaged.clv"
    finished = subprocess.run(
        [sys.executable, "-c", REFUSALS, models[0], damaged, str(cuts), str(flips)],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    (code, printed), answers = json.loads(finished.stdout)
    assert code == 0, "the file itself is good"
    assert "Verdict: sound" in printed
    refused = [
        code == 2
        and printed.startswith(f"Error: {damaged} is refused: ")
        and printed.count("\n") == 1
        for code, printed in answers
    ]
    assert all(refused), answers[refused.index(False)]
    assert len(refused) == cuts + flips
    figures["artifact"] = f"{sum(refused)} of {len(refused)} refused in one line, exit code 2"


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "orders.csv"
    load_cdnow(sample=True).table.to_pandas().to_csv(path, index=False)
    return path


def fit(log, model):
    """A fit that is as short as the model's verdict allows."""
    options = ["--segments", "none", "--no-spend"]
    options += ["--draws", "700", "--tune", "500", "--chains", "2"]
    return [*COMMAND, "fit", str(log), "--out", str(model), *options]


@pytest.fixture(scope="module")
def seconds(log, tmp_path_factory):
    """How long a fit takes to its file, once what it compiles is kept."""
    model = tmp_path_factory.mktemp("fit") / "model.clv"
    for _ in range(2):
        model.unlink(missing_ok=True)
        began = time.monotonic()
        with subprocess.Popen(
            fit(log, model), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while process.poll() is None and not model.exists():
                time.sleep(0.01)
            taken = time.monotonic() - began
        assert process.returncode == 0
    load_posterior(model)
    return taken


@pytest.mark.long
def test_a_fit_that_is_killed_leaves_the_previous_file(
    models, log, seconds, size, figures, tmp_path
):
    kills = size(3, 20)
    rng = random.Random(20)
    path = tmp_path / "model.clv"
    good = models[0].read_bytes()
    stages = Counter()
    for turn in range(3 * kills):
        path.write_bytes(good)
        before = path.stat().st_ino
        with subprocess.Popen(
            fit(log, path), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            said = b""
            if turn % 2:  # at its work for sure
                while process.poll() is None and AT_WORK not in said:
                    said += process.stderr.readline()
                time.sleep(rng.uniform(0, 0.3) * seconds)
            else:
                time.sleep(rng.uniform(0.05, 0.95) * seconds)
            process.kill()
            said += process.stderr.read()
        if (
            path.stat().st_ino != before
        ):  # it was faster this time, and its file is there: none of these
            load_posterior(path)
            continue
        assert process.returncode == -signal.SIGKILL
        assert path.read_bytes() == good
        stages["sampling" if AT_WORK in said else "before"] += 1
        if stages.total() == kills:
            break
    assert stages.total() == kills
    assert stages["sampling"] > 0, "no fit had come to its work"
    figures["fit killed"] = (
        f"{kills} of {kills} byte-identical, {stages['sampling']} of them while sampling"
    )


def in_a_mount(script):
    """Run a shell script where it may mount what nobody else sees."""
    privileges = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    return subprocess.run(
        [*privileges, "sh", "-ec", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "300", "NO_COLOR": "1"},
    )


@pytest.fixture(scope="module")
def can_mount(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mount")
    if shutil.which("unshare") is None or in_a_mount(f"mount -t tmpfs x {folder}").returncode:
        pytest.skip("nothing can be mounted here")


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "prepare", "why"),
    [
        (
            "disk full",
            "mount -t tmpfs -o size={size} x {folder}; cp {model} {folder}/model.clv; "
            "cat /dev/zero > {folder}/filler 2>/dev/null || true",
            "No space left on device",
        ),
        (
            "read-only",
            "mount -t tmpfs x {folder}; cp {model} {folder}/model.clv; "
            "mount -o remount,ro {folder}",
            "Read-only file system",
        ),
    ],
)
def test_a_disk_that_takes_nothing_keeps_the_previous_file(
    models, log, can_mount, figures, tmp_path, kind, prepare, why
):
    model = tmp_path / "model.clv"
    places = {"size": 2 * models[0].stat().st_size, "folder": tmp_path, "model": models[0]}
    command = " ".join(f"'{word}'" for word in fit(log, model))
    finished = in_a_mount(
        f"{prepare.format(**places)}; {command} && code=0 || code=$?; "
        f"echo exit $code; cmp {models[0]} {model} && echo identical; ls -A {tmp_path}"
    )
    assert "exit 2" in finished.stdout, finished
    assert "identical" in finished.stdout
    listing = finished.stdout.rpartition("identical\n")[2].split()
    assert set(listing) <= {"model.clv", "filler"}, "something was left behind"
    errors = [line for line in finished.stderr.splitlines() if line.startswith("Error: ")]
    assert errors == [f"Error: {model} cannot be written: {why}"]
    figures[kind] = f"byte-identical, exit code 2: {why}"


def a_log_with_faults(rng, rows, path):
    """Write a log; return how many rows have which first fault."""
    faults = {
        "no customer": lambda row: row | {"customer": rng.choice(["", "NaN", " null "])},
        "no date": lambda row: row | {"date": rng.choice(["", "N/A"])},
        "unreadable date": lambda row: row | {"date": rng.choice(["2020-13-01", "soon", "31"])},
        "cancelled": lambda row: row | {"invoice": f"C{row['invoice']}".replace("A", "")},
        "not a sale": lambda row: rng.choice(
            [row | {"quantity": -3}, row | {"invoice": f"A{row['invoice']}"}, row | {"quantity": 0}]
        ),
        "no amount": lambda row: row | {"price": rng.choice(["", "nan"])},
        "unreadable amount": lambda row: row | {"price": rng.choice(["free", "1e999"])},
        "not positive amount": lambda row: row | {"price": rng.choice(["0", "-2.5"])},
        "after the end": lambda row: row | {"date": "2021-06-01"},
    }
    expected = Counter()
    lines = ["customer,date,quantity,price,invoice"]
    for number in range(rows):
        row = {
            "customer": f"c{rng.randrange(500)}",
            "date": f"2020-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}",
            "quantity": rng.randrange(1, 9),
            "price": f"{rng.uniform(0.5, 50):.2f}",
            "invoice": 100_000 + number,
        }
        chance = rng.random()
        if chance < 0.02:
            expected["malformed line"] += 1
            lines.append(",".join(map(str, row.values())) + ",one,too,many")
            continue
        if chance < 0.3:
            first, *others = sorted(
                rng.sample(sorted(faults), rng.choice([1, 1, 1, 2])), key=REASONS.index
            )
            expected[first] += 1
            for name in (*others, first):  # the first fault is written last, so that it stays
                row = faults[name](row)
        lines.append(",".join(map(str, row.values())))
    path.write_text("\n".join(lines) + "\n")
    return expected


# Reasons that need a file, a preamble or a calendar of their own.
NOT_PLANTED = {"totals row", BEFORE_START, AFTER_TODAY, FAR, *SOURCE_REASONS} - {"malformed line"}


@pytest.mark.slow
def test_every_row_of_a_faulty_log_is_accounted_for(size, figures, tmp_path):
    files, rows = size(3, 50), 10_000
    kept = rejected = 0
    for seed in range(files):
        path = tmp_path / f"orders{seed}.csv"
        expected = a_log_with_faults(random.Random(seed), rows, path)
        ledger = read_transactions(path, end="2021-01-01").ledger
        assert dict(ledger.rejected) == dict(expected)
        assert ledger.rows_in == rows
        assert ledger.rows_kept == rows - sum(expected.values())
        assert expected.keys() == set(REASONS) - NOT_PLANTED
        kept += ledger.rows_kept
        rejected += sum(expected.values())
        path.unlink()
    figures["rows"] = (
        f"{files} files: {files * rows:,} in = {kept:,} kept + {rejected:,} rejected, "
        "each reason as planted"
    )
