"""Every notation of `cases.py` is read with the right values or refused, as documented."""

import re

import pytest

from bayes_clv.errors import InputError
from tests.data.cases import CASES, DOCS, Case, as_markdown, purchases_of, read


def check(case: Case, log) -> None:
    assert purchases_of(log) == tuple(sorted(case.rows or (), key=str))
    assert dict(log.ledger.rejected) == dict(case.rejected)
    assert log.ledger.rows_kept == len(case.rows or ())


@pytest.mark.parametrize("case", [c for c in CASES if not c.refused], ids=lambda case: case.name)
def test_what_is_unmistakable_is_read(case, tmp_path):
    log = read(case, tmp_path)
    check(case, log)
    if case.warns:
        assert any(re.search(case.warns, line) for line in log.report.warnings)


@pytest.mark.parametrize("case", [c for c in CASES if c.refused], ids=lambda case: case.name)
def test_what_is_ambiguous_is_refused_with_the_option_that_settles_it(case, tmp_path):
    with pytest.raises(InputError, match=case.refused) as refusal:
        read(case, tmp_path)
    assert "\n" not in str(refusal.value)
    option, arguments = case.settled_by
    if option:
        check(case, read(case, tmp_path, **arguments))


def test_the_documentation_lists_these_cases():
    assert DOCS.read_text() == as_markdown(), "run python -m tests.data.cases"
