"""The reference page of health says what the tables do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config import AgentSettings
from agent.health.page import reference_page
from agent.health.xids import XIDS
from gpuledger.config import load_config
from gpuledger.errors import ConfigError

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "health.md"


def test_the_page_is_in_step_with_the_tables(golden: Callable[[str, str], None]) -> None:
    """docs/reference/health.md is made from the tables; --update-golden writes it."""
    golden(str(PAGE), reference_page())


def test_every_xid_has_its_line() -> None:
    """The page lists each XID of the table once."""
    lines = [line for line in reference_page().splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert [int(line.split("|")[1]) for line in lines] == sorted(XIDS)


def test_the_settings_of_the_page_are_the_defaults(tmp_path: Path) -> None:
    """What the page shows as settings can be loaded, and changes nothing."""
    text = reference_page().partition("```toml\n")[2].partition("```")[0]
    path = tmp_path / "agent.toml"
    path.write_text(text)
    assert load_config(AgentSettings, path, {}).health == AgentSettings().health


def test_a_condition_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    """A misspelt condition would leave a board available: it is refused, with the names there are."""
    path = tmp_path / "agent.toml"
    path.write_text('[health]\nunavailable_on = ["gpu_reset", "row_remap_failur"]\n')
    with pytest.raises(ConfigError, match="row_remap_failur") as caught:
        load_config(AgentSettings, path, {})
    assert "row_remap_failure" in caught.value.hint
