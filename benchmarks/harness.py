"""Runs one case in a process of its own, so that its peak memory and compilation are its own.

Standard library only: the modules of `benchmarks.peer` import this in the peers' environment.
"""

import json
import multiprocessing as mp
import resource
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

type Row = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
PEER_PYTHON = ROOT / ".venv-peer" / "bin" / "python"


def in_a_process(case: Callable[..., Row], *arguments: object) -> Row:
    """Call ``case(*arguments)`` in a fresh process; its row comes back with ``peak_mb``."""
    with ProcessPoolExecutor(1, mp_context=mp.get_context("spawn")) as pool:
        return pool.submit(_with_peak, case, arguments).result()


def in_peer(module: str, *arguments: object) -> Row:
    """Run ``benchmarks.peer.MODULE`` in the peers' environment; it answers with :func:`answer`."""
    if not PEER_PYTHON.exists():
        raise SystemExit(
            "the peers are not installed: `make bench` installs them; --no-peer leaves them out"
        )
    command = [PEER_PYTHON, "-m", f"benchmarks.peer.{module}", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])  # the lines before are the peer's own output


def answer(row: Row) -> None:
    """Print a row and the peak of this process, for the process that called :func:`in_peer`."""
    print(json.dumps(row | {"peak_mb": peak_mb()}))


def say(words: str) -> None:
    """Say on stderr what is being measured, so that stdout has only the results."""
    print(f"  {words} …", file=sys.stderr, flush=True)


def peak_mb() -> float:
    """Largest resident memory so far of this process or of a child that has ended, MB."""
    children = _megabytes(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    try:
        # Unlike ru_maxrss this does not remember the process that this one was forked from.
        status = Path("/proc/self/status").read_text()
    except OSError:
        return max(children, _megabytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
    own = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return max(children, int(own.split()[1]) * 1024 / 1e6)


def _with_peak(case: Callable[..., Row], arguments: tuple[object, ...]) -> Row:
    return case(*arguments) | {"peak_mb": peak_mb()}


def _megabytes(maxrss: int) -> float:
    return maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6  # bytes there, KiB on Linux
