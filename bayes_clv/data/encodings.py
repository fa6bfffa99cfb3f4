r"""The encoding of a text file, and its lines.

The rule, where the caller names no encoding: a byte order mark decides (UTF-8, UTF-16, UTF-32).
Without one the file is UTF-8 if all its bytes are. If they are not, the lines that are not ASCII
decide:

- none of them is UTF-8: the file is Windows-1252, which has all of Latin-1's letters, and € and ’;
- few of them are not UTF-8: these lines are damaged, and rejected as "unreadable bytes";
- many of them are not UTF-8: the file was joined from two encodings, and each line is read in its
  own; a line that mixes both is rejected.

Zero bytes mean that a file without a byte order mark is not text. Lines are split at ``\n``,
``\r\n`` and ``\r``, and are never held whole if they are longer than `LONGEST_LINE`.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bayes_clv.data.fields import LONGEST_LINE
from bayes_clv.data.report import TOO_LONG, UNREADABLE
from bayes_clv.errors import InputError

UTF_8 = "utf-8-sig"  # with or without a byte order mark
WINDOWS = "cp1252"
# Longest first: the mark of UTF-32-LE begins with that of UTF-16-LE.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Damage is rare: from so many lines on, and above so large a share, it is a second encoding.
_FEW_LINES, _FEW_SHARE = 10, 0.1
_CHUNK = 1 << 20
# Characters of a rejected line that are shown.
SHOWN = 60
_BAD = re.compile("[\udc80-\udcff]")
_MARK = "\udcff"
_MARKING = "bayes_clv.mark"
codecs.register_error(_MARKING, lambda error: (_MARK, error.end))  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Survey:
    r"""What one pass over the bytes of a file found.

    `mixed`: lines that are not UTF-8 are Windows-1252. `lines`: number of line ends.
    `plain`: UTF-8, with one kind of line end, which is not a lone ``\r``, and no line that may be
    longer than `LONGEST_LINE`. `quotes`, `backslashes`, `escaped_quotes`: whether there are any.
    """

    encoding: str
    mixed: bool = False
    remark: str = ""
    lines: int = 0
    plain: bool = False
    quotes: bool = True
    backslashes: bool = True
    escaped_quotes: bool = True
    returns: bool = True


@dataclass(frozen=True)
class Block:
    """Successive lines without their ends; `bad`: index of a rejected line -> its reason."""

    lines: list[str]
    bad: dict[int, str] = field(default_factory=dict)


def survey(path: Path, encoding: str | None = None, name: str | None = None) -> Survey:
    """Find the encoding and the kinds of line end in one pass over the bytes.

    Raises
    ------
    InputError
        The file is not text, or `encoding` is not known.
    OSError
        The file cannot be read.
    """
    name = name or path.name
    with path.open("rb") as file:
        start = file.read(4)
    if encoding is not None:
        encoding = _known(encoding)
        if encoding != UTF_8:
            _refuse_zeros(path, start, encoding)
            return Survey(encoding, remark=f"{name} was read as {encoding}, as asked")
    else:
        marked = next((each for mark, each in _MARKS if start.startswith(mark)), None)
        if marked is not None:
            return Survey(marked, remark=f"{name} was read as {marked.upper()}")
    found = _scan(path)
    if found is not None:
        return found
    if encoding is not None:
        return Survey(UTF_8)
    return _judge(path, name)


def read_blocks(path: Path, how: Survey) -> Iterator[Block]:
    """Yield the lines of a file in blocks of about a million characters."""
    known = how.encoding in (UTF_8, WINDOWS)
    errors = "surrogateescape" if known else _MARKING
    rest = ""
    with path.open(encoding=how.encoding, errors=errors, newline=None) as file:
        first = True
        while chunk := file.read(_CHUNK):
            if first:
                chunk, first = chunk.removeprefix("\ufeff"), False
            odd = how.encoding != UTF_8 or not how.plain
            *lines, rest = _join(rest, chunk).split("\n")
            if len(rest) > LONGEST_LINE:
                rest = rest[: LONGEST_LINE + 1]
            if lines:
                yield _block(lines, how) if odd else Block(lines)
        if rest:
            yield _block([rest], how)


def _join(rest: str, chunk: str) -> str:
    """Continue a line, of which a part that is already too long is not kept."""
    if len(rest) <= LONGEST_LINE:
        return rest + chunk
    _, end, after = chunk.partition("\n")
    return rest + end + after


def _block(lines: list[str], how: Survey) -> Block:
    bad: dict[int, str] = {}
    if max(map(len, lines)) > LONGEST_LINE:
        bad |= {i: TOO_LONG for i, line in enumerate(lines) if len(line) > LONGEST_LINE}
    text = "\n".join(lines)
    if _BAD.search(text) or "\x00" in text:
        for i, line in enumerate(lines):
            if _BAD.search(line) or "\x00" in line:
                whole = _repair(line, how)
                if whole is None:
                    bad.setdefault(i, UNREADABLE)
                    lines[i] = _BAD.sub("\ufffd", line.replace("\x00", "\ufffd"))
                else:
                    lines[i] = whole
    for i in bad:
        lines[i] = lines[i][:SHOWN]
    return Block(lines, bad)


def _repair(line: str, how: Survey) -> str | None:
    """Return a line of Windows-1252, or None where bytes are of no known encoding."""
    if "\x00" in line:
        return None
    if how.encoding == WINDOWS:  # its five undefined bytes are control characters, as on the Web
        return _BAD.sub(lambda bad: chr(ord(bad[0]) - 0xDC00), line)
    if not how.mixed or not _BAD.sub("", line).isascii():
        return None
    raw = line.encode("utf-8", "surrogateescape")
    return _repair(raw.decode(WINDOWS, "surrogateescape"), Survey(WINDOWS))


def _scan(path: Path) -> Survey | None:
    """Survey a file that is UTF-8; None if it is not.

    Raises
    ------
    InputError
        There are zero bytes.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    ends, pairs, lone = 0, 0, 0
    quotes = backslashes = escaped = lengthy = False
    chunk, utf8 = b"", True
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            while chunk.endswith((b"\r", b"\\")) and (more := file.read(1)):  # keep pairs together
                chunk += more
            if b"\x00" in chunk:
                raise InputError(_ZEROS.format(path))
            if utf8:
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError:
                    utf8 = False
            if not utf8:
                continue
            ends += chunk.count(b"\n")
            if b"\r" in chunk:
                both = chunk.count(b"\r\n")
                pairs, lone = pairs + both, lone + chunk.count(b"\r") - both
            quotes = quotes or b'"' in chunk
            backslashes = backslashes or b"\\" in chunk
            escaped = escaped or (backslashes and b'\\"' in chunk)
            lengthy = lengthy or _may_be_lengthy(chunk)
            last = chunk[-1:]
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        utf8 = False
    if not utf8:
        return None
    plain = not lone and pairs in (0, ends) and not lengthy
    lines = ends + (last not in b"\n")
    return Survey(
        UTF_8,
        lines=lines,
        plain=plain,
        quotes=quotes,
        backslashes=backslashes,
        escaped_quotes=escaped,
        returns=pairs > 0,
    )


_ZEROS = (
    "{} holds zero bytes, as binary files do and as UTF-16 without a byte order mark does; save it "
    "as UTF-8, or say which encoding it has with encoding= (--encoding utf-16-le)"
)


def _may_be_lengthy(chunk: bytes) -> bool:
    """Whether a line may be too long: each such line covers a window without a line end."""
    window = LONGEST_LINE // 2
    starts = range(0, len(chunk), window)
    return any(
        chunk.find(b"\n", start, start + window) < 0
        for start in starts
        if len(chunk) - start >= window
    )


def _judge(path: Path, name: str) -> Survey:
    """Decide the encoding of a file that is not UTF-8, by its lines that are not ASCII."""
    good = bad = 0
    for block in read_blocks(path, Survey(UTF_8)):
        bad += sum(reason == UNREADABLE for reason in block.bad.values())
        good += sum(not s.isascii() for i, s in enumerate(block.lines) if i not in block.bad)
    if not good:
        return Survey(
            WINDOWS,
            remark=f"{name} was read as Windows-1252, because its bytes are not UTF-8; if "
            "names look wrong, say encoding= (--encoding)",
        )
    if bad <= good and (bad < _FEW_LINES or bad <= _FEW_SHARE * good):
        return Survey(
            UTF_8,
            remark=f"damaged lines of {name}: {bad}; the others were read as UTF-8; if it has "
            "another encoding, say encoding= (--encoding)",
        )
    return Survey(
        UTF_8,
        mixed=True,
        remark=f"{name} mixes encodings: {good} lines were read as UTF-8 and {bad} as "
        "Windows-1252; if it has one encoding, say encoding= (--encoding)",
    )


def _known(encoding: str) -> str:
    try:
        found = codecs.lookup(encoding)
    except (LookupError, TypeError, ValueError):
        found = None
    if found is None or not found._is_text_encoding:
        raise InputError(
            "encoding (--encoding) must name an encoding such as utf-8, cp1252, utf-16 or "
            f"shift_jis; got {encoding!r}"
        )
    return UTF_8 if found.name == "utf-8" else found.name


def _refuse_zeros(path: Path, start: bytes, encoding: str) -> None:
    if b"\x00" in start and not encoding.startswith(("utf-16", "utf-32")):
        raise InputError(_ZEROS.format(path))
