from pathlib import Path

from tests.service import report

PAGE = Path(__file__).parents[2] / "docs" / "service.md"


def test_the_page_that_is_kept_has_every_row_and_none_that_was_not_measured():
    page = PAGE.read_text(encoding="utf-8")
    for what, must in report.ROWS.values():
        assert f"| {what} | {must} | " in page
    assert "not run" not in page
    assert "not run" in report.table({})
