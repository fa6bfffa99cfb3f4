"""docs/service.md: what the service must survive, and what `make soak` last measured."""

import datetime as dt
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

# What is tested, and what is demanded.
ROWS = {
    "schemathesis": (
        "generated requests from the OpenAPI document, all checks, positive and negative",
        "≥ 5,000, no failure, no unplanned 5xx",
    ),
    "fuzz": (
        "fuzzed raw bodies to both POST routes",
        "≥ 20,000, every answer in the envelope, at most 1,000 characters echoed",
    ),
    "customers": (
        "valid customers, frequency to 10⁶, T to 10⁶ days",
        "≥ 20,000 finite and ordered; a single answer equals its batch row to 1e-12",
    ),
    "exploits": ("the `eval` exploits, as customers and as batches", "never executed"),
    "throughput": (
        "32 connections, 2 workers, full interval",
        "≥ 0.6 × a hello route of the same run, p99 < 30 ms",
    ),
    "connections": ("200 connections, 10 s", "0 errors"),
    "slow headers": ("100 clients whose headers trickle", "20 of 20 good requests < 1 s"),
    "slow bodies": ("100 clients whose bodies trickle", "20 of 20 good requests < 1 s"),
    "kill": (
        "`kill -9` of a worker every 1.4 s under load",
        "a client that retries once loses nothing; respawn < 2 s",
    ),
    "hang up": ("SIGHUP × 10 under load", "0 failed, 0 mistagged"),
    "swap": ("model swap × 50 under load", "0 failed, 0 mistagged"),
    "artifact": (
        "a model file cut short at 200 places, 500 bits flipped",
        "700 of 700 refused in one line, exit code 2",
    ),
    "fit killed": ("`fit` killed at 20 random moments", "the previous file byte-identical"),
    "disk full": ("`fit` onto a full disk", "the previous file byte-identical, one line, exit 2"),
    "read-only": (
        "`fit` into a read-only folder",
        "the previous file byte-identical, one line, exit 2",
    ),
    "rows": (
        "50 CSV files × 10,000 rows with known defects",
        "rows in = kept + rejected, per reason, exactly",
    ),
    "soak": ("60,000 mixed requests", "memory flat within 1 MB per 10,000"),
}

_HEAD = """\
# Stress tests of the service

Made by `make soak`; do not edit. Measured on {date}: {machine}, Python {python},
gunicorn {gunicorn}, Flask {flask}; load average {load} at the end. The load client runs on the
same cores. The server is `bayes-clv serve` with 2 workers and logging on; the posterior has 4,000
draws and 3 segments.

| test | requirement | measured |
| --- | --- | --- |
"""


def table(measured: Mapping[str, str]) -> str:
    """Return the page; what was not measured, or failed, says so."""
    rows = [
        f"| {what} | {must} | {measured.get(name, '**failed, or not run**')} |"
        for name, (what, must) in ROWS.items()
    ]
    head = _HEAD.format(
        date=dt.datetime.now(dt.UTC).date(),
        machine=f"{os.cpu_count()} cores ({_processor()})",
        python=platform.python_version(),
        gunicorn=version("gunicorn"),
        flask=version("flask"),
        load=f"{os.getloadavg()[0]:.1f}",
    )
    return head + "\n".join(rows) + "\n"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()
