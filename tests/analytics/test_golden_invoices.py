"""Golden invoices: a planned history, closed by a real collector, makes the same documents byte for byte."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path

import pytest

from tests.analytics.golden_fleet import golden_files

GOLDEN = Path(__file__).parents[1] / "golden" / "invoices"


def test_invoices_are_golden(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Every answer, page and export is what it was; `--update-golden` writes them anew, to be read before a commit."""
    found = golden_files(tmp_path)
    if request.config.getoption("--update-golden"):
        GOLDEN.mkdir(parents=True, exist_ok=True)
        for path in GOLDEN.iterdir():
            path.unlink()
        for name, text in found.items():
            (GOLDEN / name).write_bytes(text.encode())
    kept = {path.name: path.read_bytes().decode() for path in GOLDEN.iterdir()}
    wrong = [line for name in sorted({*kept, *found}) for line in differences(name, kept.get(name), found.get(name))]
    assert not wrong, "\n".join(
        [*wrong, "pytest tests/analytics/test_golden_invoices.py --update-golden writes them anew"]
    )


def differences(name: str, kept: str | None, found: str | None) -> list[str]:
    """Return where a file is not what it was: the first line that differs, and how many do."""
    if kept is None or found is None:
        return [f"{name} is {'new' if kept is None else 'not made any more'}"]
    lines = list(zip_longest(kept.split("\n"), found.split("\n")))
    off = [number for number, (was, now) in enumerate(lines, start=1) if was != now]
    if not off:
        return []
    was, now = lines[off[0] - 1]
    return [f"{name}, line {off[0]} (and {len(off) - 1} more): it was\n  {was}\nand is\n  {now}"]


def test_a_difference_names_its_line() -> None:
    """Whoever changes a bill is told where, not that two long texts are unequal."""
    assert differences("a", "1\n2\n3", "1\n2\n3") == []
    assert differences("a", "1\n2\n3", "1\n5\n3\n4") == ["a, line 2 (and 1 more): it was\n  2\nand is\n  5"]
    assert differences("a", None, "1") == ["a is new"]
    assert differences("a", "1", None) == ["a is not made any more"]
