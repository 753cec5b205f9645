"""Pages of decisions: each has a number of its own, says it in its title, and is in the list."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    """File, title and list agree, so that "decision 12" means one page."""
    pages = sorted(FOLDER.glob("0*.md"))
    titles = [page.read_text("utf-8").partition("\n")[0].removeprefix("# ").partition(". ") for page in pages]
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    assert [int(number) for number, _, _ in titles] == list(range(1, len(pages) + 1))
    listed = [line for line in (FOLDER / "README.md").read_text("utf-8").splitlines() if line[:1].isdigit()]
    expected = [f"{number}. [{title}]({page.name})" for (number, _, title), page in zip(titles, pages, strict=True)]
    assert listed == expected
