"""Figures that commands write: which formats, and how a file of each begins."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from bayes_clv.cli.terminal import err, say
from bayes_clv.data.targets import Kind, check_target, refusal, replacing
from bayes_clv.errors import InputError, shown

# How a file of each format begins, after so many bytes. Raw pixels begin as they like.
_BEGINNINGS: dict[str, tuple[int, tuple[bytes, ...]]] = {
    "avif": (4, (b"ftypavif", b"ftypavis")),
    "eps": (0, (b"%!PS-Adobe",)),
    "gif": (0, (b"GIF8",)),
    "jpeg": (0, (b"\xff\xd8\xff",)),
    "jpg": (0, (b"\xff\xd8\xff",)),
    "pdf": (0, (b"%PDF-",)),
    "pgf": (0, (b"%% Creator: Matplotlib",)),
    "png": (0, (b"\x89PNG\r\n\x1a\n",)),
    "ps": (0, (b"%!PS-Adobe",)),
    "svg": (0, (b"<?xml", b"<svg")),
    "svgz": (0, (b"\x1f\x8b",)),
    "tif": (0, (b"II*\0", b"MM\0*")),
    "tiff": (0, (b"II*\0", b"MM\0*")),
    "webp": (8, (b"WEBP",)),
}


def check_figure(path: str, *, inputs: Iterable[object] = (), force: bool = False) -> None:
    """Raise InputError if no figure may be written to ``path``; called before other work."""
    check_target(path, _kind(path), inputs=inputs, force=force)


def write_figure(
    axes: Any, path: str, *, inputs: Iterable[object] = (), force: bool = False
) -> None:
    """Write the figure of ``axes`` to ``path``, and look at the file before it takes its place."""
    kind, ending = _kind(path), _ending(path)
    with replacing(path, kind, inputs=inputs, force=force) as temporary:
        try:
            with temporary.open("wb") as file:
                axes.flat[0].figure.savefig(file, format=ending, dpi=150, bbox_inches="tight")
        except ValueError as error:
            raise refusal(path, str(error)) from error
        if not (kind.holds(temporary) if ending in _BEGINNINGS else temporary.stat().st_size):
            raise refusal(path, f"what was read back is not {kind.name}")
    say(err, f"Figure written to {shown(path)}")


def _kind(path: str) -> Kind:
    from matplotlib.figure import Figure

    endings, ending = Figure().canvas.get_supported_filetypes(), _ending(path)
    if ending not in endings:
        raise InputError(f"--plot {shown(path)} must end in one of {', '.join(sorted(endings))}")
    offset, beginnings = _BEGINNINGS.get(ending, (0, ()))

    def recognises(file: BinaryIO) -> bool:
        return file.read(64)[offset:].startswith(beginnings)

    return Kind(f"a figure in {ending.upper()}", recognises)


def _ending(path: str) -> str:
    return Path(path).suffix.removeprefix(".").lower()
