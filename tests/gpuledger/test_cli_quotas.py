"""`gpuledger quota`: a book goes in, is tried and shown, and comes out as manifests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from gpuledger.cli.main import main
from tests.collector.test_collector_governance_budgets import Site
from tests.collector.test_collector_governance_quotas import EXAMPLE, entry


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    site = Site(tmp_path / "ledger")
    for number in range(1, 4):
        site.hold(number, 1, 0, 4)
    site.ledger.close()
    return tmp_path / "ledger"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["quota", *words]) == 0
    return capsys.readouterr().out


def test_a_book_from_its_file_to_the_terminal(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run keeps nothing; each table says what a reader has to know."""
    path, where = tmp_path / "quotas.toml", ("--ledger", str(ledger))
    path.write_text(
        entry("acme/ml", "6", stages="[{ at = 50 }]")
        + entry("acme/ml/vision", "2", borrow='"2"', model='"NVIDIA H100*"')
        + entry("acme/ml/speech", "4", model='"NVIDIA H100*"')
        + entry("acme/ml", gpu_hours='"6"', period='"2026-01-01..2027-01-01"', stages='[{ at = 100, do = "hold" }]')
    )
    tried = run(capsys, "import", str(path), "--dry-run", *where, "--format", "table")
    assert "Nothing was stored." in tried
    assert "At once: acme/ml, GPU-hours, 2026-01-01..2027-01-01: hold at 100 %" in tried
    assert "Nobody has a quota yet" in run(capsys, "status", *where, "--format", "table")
    assert "4 quotas" in run(capsys, "import", str(path), *where, "--format", "table")
    rows = json.loads(run(capsys, "status", *where, "--format", "json"))["rows"]
    assert [(row["used"], row["borrowed"], row["lent"], row["peak"]) for row in rows] == [
        (3.0, 0.0, 0.0, 0.0), (3.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (12.0, 0.0, 0.0, None),
    ], "peaks are of the running month"  # fmt: skip
    status = run(capsys, "status", *where, "--format", "table")
    assert "150.0 %" in status
    assert "! acme/ml, GPU-hours, 2026-01-01..2027-01-01: 6 GPU-hours are used beyond what anybody lends." in status
    assert len(json.loads(run(capsys, "evaluate", *where, "--format", "json"))["rows"]) == 2
    assert "No stage was reached" in run(capsys, "evaluate", *where, "--format", "table")
    assert "hold at 100 %" in run(capsys, "list", *where, "--format", "table")


def test_manifests_are_text_to_review(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a file or on standard output, with what they do not say beside them; the example can be imported."""
    where = ("--ledger", str(ledger))
    found = json.loads(run(capsys, "import", str(EXAMPLE), *where, "--format", "json"))
    assert (found["version"], found["entries"]) == (1, 5)
    path = tmp_path / "kueue.yaml"
    assert run(capsys, "manifests", *where, "--output", str(path)) == ""
    text = path.read_text()
    assert text.startswith("# Made by gpuledger of version 1 of its quota book")
    assert "# - acme/products (*): left out, GPU-hours of a quarter are for gpuledger's admission" in text
    assert {each["kind"] for each in yaml.safe_load_all(text)} == {"ResourceFlavor", "Cohort", "ClusterQueue"}
    path = tmp_path / "quotas.toml"
    path.write_text(entry("acme/ml/vision", "2", borrow='"2"'))
    run(capsys, "import", str(path), *where)
    capsys.readouterr()
    assert main(["quota", "manifests", "--resource-quota", *where]) == 0
    out, err = capsys.readouterr()
    [made] = yaml.safe_load_all(out)
    assert (made["metadata"]["namespace"], made["spec"]["hard"]) == ("team-1", {"requests.nvidia.com/gpu": "2"})
    assert "not as in the book: acme/ml/vision (*): a ResourceQuota neither borrows nor lends" in err
    assert "1 objects. Review them" in err


def test_quota_alone_is_use_against_shares(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As scripts know it."""
    shown = run(capsys, "--ledger", str(ledger), "--period", "2026-05", "--format", "json")
    assert json.loads(shown)["share_versions"] == []
    assert main(["share", "use", "--ledger", str(ledger), "--period", "2026-05", "--format", "json"]) == 0
    assert capsys.readouterr().out == shown
