"""Text files: the header is found, every line is accounted for, what was written is read."""

import codecs
import csv
import io
import resource
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, note, settings
from hypothesis import strategies as st

from bayes_clv.data import text as text_module
from bayes_clv.data.fields import LONGEST_LINE, MOST_LINES, Splitter
from bayes_clv.data.loading import Loaded
from bayes_clv.data.sources import open_source
from bayes_clv.errors import InputError

ROWS = [("1", "2023-01-03", "5"), ("2", "2023-01-04", "6"), ("3", "2023-02-03", "7.5")]
LINES = "".join(",".join(row) + "\n" for row in ROWS)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def load(source: Any, **options: Any) -> tuple[tuple[str, ...], list[tuple[str, ...]], Loaded]:
    """All columns of a source, its rows with blanks as "", and what was said about it."""
    opened = open_source(source, None, **options)
    roles = {f"c{i}": i for i in range(len(opened.columns))} | {"date": 0}
    loaded = opened.load(roles)
    table = loaded.table.drop("date").to_pyarrow()
    rows = [tuple("" if v is None else v for v in row.values()) for row in table.to_pylist()]
    return opened.columns, rows, loaded


def read(tmp_path: Path, content: str | bytes, **options: Any) -> Any:
    return load(write(tmp_path / "log.csv", content), **options)


def counts(loaded: Loaded) -> dict[str, int]:
    return {each.reason: each.rows for each in loaded.rejected}


@pytest.fixture
def only_duckdb(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a file is read line by line."""

    def fail(*_: Any) -> None:
        raise AssertionError("read line by line")

    monkeypatch.setattr(text_module.TextFile, "_copy_lines", fail)


# ---- the header


@pytest.mark.parametrize(
    ("above", "skipped"),
    [
        ("", 0),
        ("\n\n", 0),
        ("sep=,\n", 1),
        ('\n"sep=,"\n', 1),
        ("Sales report\n\n", 1),
        ("# export of shop 2023-12-01\n# by: reporting\n", 2),
        ("Report: sales\nPeriod;2023\n\n# made, by, me\n", 3),
        ("Sales 2010,,\n,,\n", 2),
        ("Report,Sales,2023\n", 1),
        ("Report, made, yesterday\n", 1),
        ('Shop,"Zoë, Inc."\nFrom,2023-01-01\nTo,2023-12-31\n\n', 3),
        ("2023-12-01\n", 1),
        ("a title\n" * 20, 20),
    ],
)
def test_the_header_is_found_below_titles_comments_and_blank_lines(above, skipped, tmp_path):
    columns, rows, loaded = read(tmp_path, f"{above}customer_id,date,amount\n{LINES}")
    assert columns == ("customer_id", "date", "amount")
    assert rows == ROWS
    assert counts(loaded) == ({"above the header": skipped} if skipped else {})
    if skipped:
        first = next(line for line in above.splitlines() if line)
        assert loaded.rejected[0].example == first


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("Kunde;Datum;Betrag", ["A1;03.01.2023;12,50", "B2;03.01.2023;100", "B2;04.01.2023;1,5"]),
        ("Kunde, Nr;Datum;Betrag", ["1;03.01.2023;12,50", "2;03.01.2023;12,60"]),
        ("Kunde, Nr;Datum", ["1;03.01.2023", "2;03.01.2023"]),
        ("customer|date|amount", ["1,5|2020-01-01|3;5", "1,5|2020-01-01|3;6"]),
        ("a\tb c\td", ["1\t2020-01-01 10:00\t3,5", "1\t2020-01-01 11:00\t3,5"]),
        ("customer,date,amount", ["1;x,2020-01-01,5", "1;y,2020-01-01,5"]),
        ("customer,date,amount,2023", ["1,2020-01-01,5,6"]),
        ("customer,date,0", ["1,2020-01-01,5", "2,2020-01-01,5"]),
        (",customer,date,amount", ["0,1,2020-01-01,5", "1,2,2020-01-01,5"]),
        ("customer_id,date,date,amount", ["1,2023-01-03,2023-01-09,12.50"]),
        ("who,when", ["me,yesterday", "you,tomorrow"]),
    ],
)
def test_the_delimiter_is_the_one_that_splits_the_lines_alike(header, rows, tmp_path, only_duckdb):
    delimiter = next(d for d in "|\t;," if d in rows[0] and d in header)
    columns, found, loaded = read(tmp_path, "\n".join([header, *rows]))
    assert columns == tuple(header.split(delimiter))
    assert found == [tuple(row.split(delimiter)) for row in rows]
    assert not loaded.rejected


def test_a_line_that_says_the_delimiter_is_believed(tmp_path):
    columns, rows, _ = read(tmp_path, "sep=^\na,b^date\n1,5^2020-01-01\n2,5^2020-01-02\n")
    assert columns == ("a,b", "date")
    assert rows == [("1,5", "2020-01-01"), ("2,5", "2020-01-02")]
    columns, rows, _ = read(tmp_path, "sep=;\ncustomer,x;date\n1,5;2020\n")
    assert columns == ("customer,x", "date")


@pytest.mark.parametrize(
    ("content", "columns", "width"),
    [
        ("customer,date,amount\n1,2020-01-01,5,\n2,2020-01-01,5,\n", 4, 4),
        ("customer,date,amount,\n1,2020-01-01,5\n2,2020-01-01,5\n", 3, 3),
        ("customer,date,amount,\n1,2020-01-01,5,\n2,2020-01-01,5,\n", 4, 4),
    ],
)
def test_a_delimiter_at_the_end_of_lines_is_no_column(content, columns, width, tmp_path):
    names, rows, loaded = read(tmp_path, content)
    assert names == ("customer", "date", "amount", "")[:columns]
    assert rows == [(n, "2020-01-01", "5", "")[:width] for n in "12"]
    assert not loaded.rejected


@pytest.mark.parametrize(
    "content",
    [
        LINES,
        LINES[:15],
        "A1;03.01.2023;12,50\nB1;03.02.2023;1,50\n",
        "a,2023-01-03,\n" * 3,
        "1,n/a,5\n" + LINES,
    ],
)
def test_a_file_without_a_header_is_refused(content, tmp_path):
    with pytest.raises(InputError, match=r"no header: line 1 is .* data; .*--header-row N"):
        read(tmp_path, content)


def test_rows_of_another_width_than_the_header_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"line 1 is 'customer,date'.* have 3 fields.*header_row="):
        read(tmp_path, "customer,date\n1,x,2023-01-03\n2,y,2023-01-03\n")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (2, "line 2 is blank"),
        (9, "one of the first 6 lines"),
        (0, "a line number from 1 to 10,000; got 0"),
        (True, "got True"),
        ("3", "got '3'"),
        (1, r"line 1 is 'title'"),
    ],
)
def test_the_row_of_the_header_is_checked(row, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read(tmp_path, f"title\n\ncustomer,date,amount\n{LINES}", header_row=row)


def test_the_row_of_the_header_may_be_said(tmp_path):
    content = f"x,y,z\n\n1,2023-01-02,3\ncustomer,date,amount\n{LINES}"
    columns, rows, loaded = read(tmp_path, content, header_row=3)
    assert columns == ("1", "2023-01-02", "3")
    assert rows == [("customer", "date", "amount"), *ROWS]
    assert counts(loaded) == {"above the header": 1}


# ---- encodings


@pytest.mark.parametrize(
    ("encoding", "option"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", None),
        ("utf-32", None),
        ("cp1252", None),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "UTF-16BE"),
        ("utf-8", "utf8"),
        ("mac-roman", "mac-roman"),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_encoding_gives_the_same_rows(encoding, option, line_end, tmp_path):
    lines = ["customer;date;amount", "Zoë’s;2020-01-01;€5", "b;2020-01-02;6"]
    content = line_end.join([*lines, ""]).encode(encoding)
    columns, rows, loaded = read(tmp_path, content, encoding=option)
    assert columns == ("customer", "date", "amount")
    assert rows == [("Zoë’s", "2020-01-01", "€5"), ("b", "2020-01-02", "6")]
    assert not loaded.rejected
    assert bool(loaded.remarks) == (not encoding.startswith("utf-8"))


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE])
def test_a_byte_order_mark_decides(mark, tmp_path):
    name = "utf-16-be" if len(mark) == 2 else "utf-32-be"
    _, rows, _ = read(tmp_path, mark + "customer,date\nŁ,2020-01-01\n".encode(name))
    assert rows == [("Ł", "2020-01-01")]


def test_few_lines_that_are_not_utf_8_are_damaged_and_no_other_suffers(tmp_path):
    good = "Zoë,2020-01-01\n".encode()
    _, rows, loaded = read(tmp_path, b"customer,date\n" + good * 30 + b"Jo\xff,2020\n" + good)
    assert rows == [("Zoë", "2020-01-01")] * 31
    (rejected,) = loaded.rejected
    assert (rejected.reason, rejected.rows) == ("unreadable bytes", 1)
    assert rejected.example == "Jo\ufffd,2020"
    assert "damaged lines of log.csv: 1" in loaded.remarks[0]


def test_a_file_joined_from_two_encodings_is_read_line_by_line(tmp_path):
    one, other = "Zoë,2020-01-01\n".encode(), "Zoë,2020-01-02\n".encode("cp1252")
    both = b"Zo\xeb \xc3\xab,2020-01-03\n"
    _, rows, loaded = read(tmp_path, b"customer,date\n" + one * 40 + other * 20 + both)
    assert sorted(set(rows)) == [("Zoë", "2020-01-01"), ("Zoë", "2020-01-02")]
    assert len(rows) == 60
    assert counts(loaded) == {"unreadable bytes": 1}


def test_bytes_that_windows_1252_does_not_define_change_nothing_else(tmp_path):
    content = b"customer,date\nJo\x81,2020-01-01\n\x80\xe9,2020-01-02\n"
    _, rows, _ = read(tmp_path, content)
    assert rows == [("Jo\x81", "2020-01-01"), ("€é", "2020-01-02")]


@pytest.mark.parametrize("encoding", ["klingon", "base64", "rot13", "", "a\x00b"])
def test_an_unknown_encoding_is_refused(encoding, tmp_path):
    with pytest.raises(InputError, match=r"encoding \(--encoding\) must name an encoding"):
        read(tmp_path, f"customer,date,amount\n{LINES}", encoding=encoding)


@pytest.mark.parametrize("encoding", [None, "cp1252"])
def test_zero_bytes_are_not_text(encoding, tmp_path):
    content = f"customer,date,amount\n{LINES}".encode("utf-16-le")
    with pytest.raises(InputError, match=r"zero bytes.*--encoding utf-16-le"):
        read(tmp_path, content, encoding=encoding)


def test_bytes_that_the_said_encoding_does_not_have_cost_their_line(tmp_path):
    content = b"customer,date\nJo\xff,2020\nb,2020-01-01\n"
    _, rows, loaded = read(tmp_path, content, encoding="utf-8")
    assert rows == [("b", "2020-01-01")]
    assert counts(loaded) == {"unreadable bytes": 1}
    odd = "customer,date\nb,2020-01-01\n".encode("utf-16") + b"\x00\xd8,\x00"
    _, rows, loaded = read(tmp_path, odd)
    assert rows == [("b", "2020-01-01")]
    assert counts(loaded) == {"unreadable bytes": 1}


# ---- quotes


@pytest.mark.parametrize(
    ("line", "note"),
    [
        (r'"say \"hi\", you"', 'say "hi", you'),
        ('"say ""hi"", you"', 'say "hi", you'),
        ('"C:\\"', "C:\\"),
        ('5" pipe', '5" pipe'),
        (r"a\,b", "a,b"),
        (r"\N", r"\N"),
        ('"new\n\nline, and ""more"""', 'new\n\nline, and "more"'),
        ('"a\nb\nc\nd, e, f"', "a\nb\nc\nd, e, f"),
        (r'"ends \""', 'ends "'),
        ('""', ""),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_both_ways_of_escaping_and_line_breaks_are_read(line, note, last, tmp_path):
    plain = "1,2020-01-01,x\n"
    content = f"customer,date,note\n{plain}2,2020-01-02,{line}\n{'' if last else plain}"
    _, rows, loaded = read(tmp_path, content)
    expected = [("1", "2020-01-01", "x"), ("2", "2020-01-02", note), ("1", "2020-01-01", "x")]
    assert sorted(rows) == sorted(expected[: 2 if last else 3])
    assert not loaded.rejected


def test_a_file_has_one_way_of_escaping_quotes(tmp_path):
    backslashed = r"""customer,date,note
1,2020-01-01,"a \"b\""
2,2020-01-01,"C:\\"
3,2020-01-01,"\\\" "
"""
    assert [note for *_, note in read(tmp_path, backslashed)[1]] == ['a "b"', "C:\\", '\\" ']
    doubled = (
        'customer,date,note\n1,2020-01-01,"C:\\"\n2,2020-01-01,"C:\\\\"\n3,2020-01-01,"\\"" "\n'
    )
    assert [note for *_, note in read(tmp_path, doubled)[1]] == ["C:\\", "C:\\\\", '\\" ']


@pytest.mark.parametrize(
    "stray", ['1,2020-01-01,"x', '"1,2020-01-01,x', '1,"2020-01-01,x', '1,"2"x,y']
)
@pytest.mark.parametrize("rows", [3, 50, MOST_LINES + 10])
def test_stray_quotes_swallow_no_rows(stray, rows, tmp_path):
    good = "2,2020-01-02,y\n" * rows
    closing = '3,2020-01-03,y"\n'
    _, found, loaded = read(tmp_path, f"customer,date,note\n{good}{stray}\n{good}{closing}{good}")
    assert len(found) == 3 * rows + 1
    assert found.count(("3", "2020-01-03", 'y"')) == 1
    (rejected,) = loaded.rejected
    assert (rejected.reason, rejected.rows, rejected.example) == ("malformed line", 1, stray)


def test_fields_of_several_lines_are_read_beside_stray_quotes(tmp_path):
    long = "\n".join(f"line {i}" for i in range(MOST_LINES - 1))
    content = f'customer,date,note\n1,2020-01-01,"{long}"\n2,"x" y,z\n3,2020-01-01,"a\nb"\n'
    _, rows, loaded = read(tmp_path, content)
    assert rows == [("1", "2020-01-01", long), ("3", "2020-01-01", "a\nb")]
    assert counts(loaded) == {"malformed line": 1}


def test_a_line_break_in_a_field_is_one_character_however_the_file_ends_its_lines(tmp_path):
    lines = ["customer,date", '"a', 'b",2020-01-01', ""]
    for end in ("\n", "\r\n", "\r"):
        assert read(tmp_path, end.join(lines))[1] == [("a\nb", "2020-01-01")]
    mixed = 'customer,date\r\n"a\nb",2020-01-01\r\n"a\r\nb",2020-01-01\r\n'
    assert read(tmp_path, mixed)[1] == [("a\nb", "2020-01-01")] * 2


# ---- lines that are not rows


def test_malformed_lines_are_counted_with_an_example(tmp_path, only_duckdb):
    _, rows, loaded = read(tmp_path, f"customer,date,amount\n{LINES}1,2,3,4,5\n   \n\n{LINES}x\n")
    assert rows == ROWS * 2
    (rejected,) = loaded.rejected
    assert (rejected.reason, rejected.rows, rejected.example) == ("malformed line", 2, "1,2,3,4,5")


@pytest.mark.parametrize("length", [LONGEST_LINE, LONGEST_LINE + 1, 3 << 20, 31 << 20])
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_line_beyond_the_limit_is_counted_and_no_other_is_lost(length, place, tmp_path):
    lines = [",".join(row) for row in ROWS]
    lines.insert(place, "9,2023-01-01,".ljust(length, "7"))
    _, rows, loaded = read(tmp_path, "\n".join(["customer,date,amount", *lines, ""]))
    if length == LONGEST_LINE:
        assert len(rows) == 4
        assert not loaded.rejected
    else:
        assert rows == ROWS
        assert counts(loaded) == {"line too long": 1}
        assert loaded.rejected[0].example == "9,2023-01-01,".ljust(60, "7")


@pytest.mark.slow
def test_a_line_of_any_length_is_read_in_bounded_memory(tmp_path):
    path = tmp_path / "log.csv"
    with path.open("w") as file:
        file.write("customer,date,amount\n" + LINES)
        for _ in range(400):
            file.write("x" * (1 << 20))
        file.write("\n" + LINES)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _, rows, loaded = load(path)
    assert rows == ROWS * 2
    assert counts(loaded) == {"line too long": 1}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # kB


def test_a_header_without_end_is_refused(tmp_path):
    with pytest.raises(InputError, match="header"):
        read(tmp_path, "x" * (3 << 20))


# ---- any file


def _file(
    rows: Sequence[Sequence[str]], delimiter: str, quoting: int, doubled: bool, line_end: str
) -> str:
    out = io.StringIO()
    escape: dict[str, Any] = {} if doubled else {"doublequote": False, "escapechar": "\\"}
    writer = csv.writer(
        out, delimiter=delimiter, quoting=quoting, lineterminator=line_end, **escape
    )
    writer.writerows(rows)
    return out.getvalue()


_TEXT = st.text(
    alphabet=st.sampled_from([*string.ascii_letters[:6], *"01 ,;|\t\"\\\n'éŁ€"]), max_size=12
)
_NOTES = st.one_of(st.sampled_from(["", "x", "C:\\", 'say "hi"', "a\nb", "1,5"]), _TEXT)


_files = given(
    notes=st.lists(st.tuples(_NOTES, _NOTES), min_size=1, max_size=12),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    doubled=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    above=st.lists(
        st.sampled_from(["", "# by shop", "Sales report", "Made: 2023-01-01"]), max_size=4
    ),
    stray=st.booleans(),
)
_many = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@settings(max_examples=60, **_many)
@_files
@example(
    notes=[('"', ""), ("", "")],
    delimiter=",",
    quoting=csv.QUOTE_ALL,
    doubled=False,
    encoding="utf-8",
    line_end="\n",
    above=[],
    stray=False,
)
def test_whatever_is_written_is_read_back_or_counted(tmp_path, **drawn):
    _check_file(tmp_path, **drawn)


@pytest.mark.long
@settings(max_examples=2_000, **_many)
@_files
def test_many_files_are_read_back_or_counted(tmp_path, **drawn):
    _check_file(tmp_path, **drawn)


def _is_utf_8(content: bytes) -> bool:
    try:
        return not content.decode().isascii()
    except UnicodeDecodeError:
        return False


def _check_file(tmp_path, notes, delimiter, quoting, doubled, encoding, line_end, above, stray):
    if encoding == "cp1252":
        notes = [tuple(each.replace("Ł", "€") for each in pair) for pair in notes]
        assume(any("é" in each or "€" in each for pair in notes for each in pair))
    rows = [
        (f"c{i}{one}", f"2023-01-{i + 1:02}", f"{i}.50", two) for i, (one, two) in enumerate(notes)
    ]
    # In a file of a line or two, a field that holds a separator may be two fields as well.
    rows += [(f"plain{i}", "2023-02-01", f"{i}.25", "") for i in range(6)]
    header = ("customer_id", "date", "amount", "note")
    # Without an escaped quote, nothing shows that a backslash is more than a backslash.
    fields = [field for pair in notes for field in pair]
    assume(doubled or any('"' in field for field in fields))
    # Lines show how quotes are escaped; parts of a field of several lines may show either way.
    assume(doubled or not any("\n" in each for each in fields))
    # The same the other way round; `test_a_line_within_a_field_…` holds such a file.
    assume(not any("\n" in each and "\\" in each for each in fields))
    body = _file([header, *rows], delimiter, quoting, doubled, line_end)
    bad = f'x{delimiter}"y"z{delimiter}{delimiter}{line_end}' if stray else ""
    content = line_end.join([*above, ""]) + body + bad
    note(repr(content))
    # Bytes of Windows-1252 may be UTF-8 by chance, as those of 'é€€' are.
    lines = content.encode(encoding).splitlines()
    assume(encoding != "cp1252" or not any(map(_is_utf_8, lines)))
    columns, found, loaded = read(tmp_path, content.encode(encoding))
    assert columns == header
    # Line ends are the file's: within a field they are read as \n.
    assert sorted(found) == sorted(rows)
    written = sum(bool(line) for line in above)
    expected = {"above the header": written, "malformed line": int(stray)}
    assert counts(loaded) == {reason: n for reason, n in expected.items() if n}


@pytest.mark.xfail(strict=True, reason="a line within a field is taken for a row that escapes")
def test_a_line_within_a_field_is_no_evidence_of_backslashes(tmp_path):
    text = 'customer_id;date;amount;note\nc0;2023-01-01;0.50;"\\;"\n"c1\n\\";2023-01-02;1.50;\n'
    rows = [("c0", "2023-01-01", "0.50", "\\;"), ("c1\n\\", "2023-01-02", "1.50", "")]
    assert read(tmp_path, text)[1] == rows


def test_the_example_of_the_docstring_is_split():
    assert Splitter("|").split('a|"b|c"|') == ["a", "b|c", ""]
    assert Splitter("|").split('a|"b') is None
    assert Splitter(None).split(" a  b ") == ["a", "b"]
