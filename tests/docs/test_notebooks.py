"""The example notebooks run from top to bottom against a collector, and are kept without outputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from collector.app import running
from collector.config import CollectorSettings, LedgerSettings, ServerSettings
from tests.analytics.ledgers import billed_ledger, hours

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "examples" / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = billed_ledger(tmp_path_factory.mktemp("ledger"))
    with running(CollectorSettings(server=ServerSettings(port=0), ledger=LedgerSettings(folder))) as address:
        yield address


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_something(path: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell runs in a real kernel, and all but none of them show a table or a schema."""
    monkeypatch.setenv("GPULEDGER_URL", url)
    monkeypatch.setenv("PERIOD", hours(0, 6).label)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parents[3])}}).execute()
    shown = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert all(outputs[-1].output_type == "execute_result" for outputs in shown)
    assert "speech" in str(shown)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_kept(path: Path) -> None:
    """What somebody's ledger says does not travel with the example."""
    for cell in nbformat.read(path, as_version=4).cells:
        assert cell.cell_type != "code" or (cell.outputs, cell.execution_count) == ([], None)
