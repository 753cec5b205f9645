"""The reference page says what the table does."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.identity.page import reference_page
from agent.identity.rulebook import built_in, load_table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "identity.md"


def test_the_page_is_in_step_with_the_table(request: pytest.FixtureRequest) -> None:
    """The page is made from the table; `pytest --update-golden` makes it again."""
    made = reference_page(built_in())
    if request.config.getoption("--update-golden"):
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(made, "utf-8")
    assert PAGE.read_text("utf-8") == made


def test_every_rule_and_claim_has_one_row() -> None:
    """Nothing that decides is left out of the page."""
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    for entry in (*built_in().rules, *built_in().claims):
        assert sum(f"`{entry.key}`" in row for row in rows) == 1


def test_the_example_of_the_page_is_a_table(tmp_path: Path) -> None:
    """What the page tells a site to write can be loaded as it stands."""
    block = PAGE.read_text("utf-8").split("```toml\n")[2].split("```")[0]
    (tmp_path / "identity.toml").write_text(block)
    table = load_table((tmp_path / "identity.toml",))
    assert table.rules[0].key == "labtool-run"
    assert table.claims[0].key == "squad"
    assert "feast-server" not in {rule.key for rule in table.rules}
