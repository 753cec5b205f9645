"""The demo leaves a ledger that adds up, answers every question from it, and treats an existing folder with care."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from agent.config import AgentSettings
from gpuledger.cli import demo_plan
from gpuledger.cli.demo_budgets import budget_book
from gpuledger.cli.main import main
from gpuledger.cli.sources import Source
from gpuledger.config import load_config
from gpuledger.errors import ConfigError

NOW = datetime(2026, 11, 24, 3, 27, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("demo") / "data"
    assert main(["demo", "--once", "--data-dir", str(directory), "--days", "1", "--nodes", "1"]) == 0
    return directory


def period_of(ledger: Path) -> str:
    plan = json.loads((ledger / demo_plan.MARKER).read_text())
    return f"{plan['from_'][:19]}Z..{plan['until'][:19]}Z"


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    capsys.readouterr()
    assert main([*arguments, "--format", "json"]) == 0
    answer: dict[str, object] = json.loads(capsys.readouterr().out)
    return answer


@pytest.mark.slow
def test_the_history_reconciles(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Time, energy and money of the whole history are conserved, and the exit code says so."""
    answer = ask(capsys, "reconcile", "--ledger", str(ledger), "--period", period_of(ledger))
    assert answer["ok"] is True
    assert (answer["imbalance_us"], answer["energy_imbalance_mj"], answer["violations"]) == (0, 0, [])
    assert Decimal(str(answer["money_imbalance"])) == 0


@pytest.mark.slow
def test_rows_sum_to_the_total_in_both_views(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Allocation and usage split one and the same amount."""
    totals = []
    for view in ("allocation", "usage"):
        where = ("--ledger", str(ledger), "--period", period_of(ledger))
        answer = ask(capsys, "chargeback", *where, "--view", view)
        costs = [Decimal(row["cost"]) for row in answer["rows"]]  # type: ignore[attr-defined]
        totals.append(sum(costs))
        assert sum(costs) == Decimal(answer["total"]["cost"])  # type: ignore[index]
    assert totals[0] == totals[1] > 0


@pytest.mark.slow
@pytest.mark.parametrize("command", ["chargeback", "utilization", "idle", "loans", "reconcile"])
def test_every_report_comes_as_table_csv_and_parquet(
    command: str, ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table has a title, CSV a header and rows, and Parquet goes to a file."""
    where = (command, "--ledger", str(ledger), "--period", period_of(ledger))
    capsys.readouterr()
    assert main([*where, "--format", "table"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 3
    assert main([*where, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert rows
    out = tmp_path / "r.parquet"
    assert main([*where, "--format", "parquet", "--output", str(out)]) == 0
    assert out.read_bytes()[:4] == b"PAR1"
    assert main([*where, "--format", "parquet"]) == 2


@pytest.mark.slow
def test_books_are_listed_and_importing_the_same_again_changes_nothing(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo's own price file is version 1 and stays it."""
    book = Path(demo_plan.__file__).with_name("demo_books") / "prices.toml"
    where = ("--ledger", str(ledger))
    assert ask(capsys, "price", "import", str(book), *where)["changed"] is False
    assert ask(capsys, "price", "list", *where)["version"] == 1
    assert ask(capsys, "owner", "list", *where)["rows"]
    assert ask(capsys, "rate", *where)["pending_hours"] == 0


@pytest.mark.slow
def test_the_same_demo_goes_on_and_another_one_is_refused(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second run in the same folder adds what happened since; another seed would mix two fleets."""
    again = ("demo", "--once", "--data-dir", str(ledger), "--days", "1")
    assert main([*again, "--nodes", "1"]) == 0
    capsys.readouterr()
    assert main([*again, "--nodes", "1", "--seed", "7"]) == 2
    assert "holds another demo" in capsys.readouterr().err


def test_history_ends_at_the_last_full_hour_and_begins_at_midnight() -> None:
    """The scenario's hours of the day are those of its start, so it starts at midnight UTC."""
    plan = demo_plan.make_plan(NOW, 30, None, None)
    assert plan.until == datetime(2026, 11, 24, 3, tzinfo=UTC)
    assert plan.from_ == datetime(2026, 10, 25, tzinfo=UTC)
    assert demo_plan.months(plan) == ("2026-10", "2026-11")


def test_a_short_history_within_one_month_reports_that_month_only() -> None:
    """A month without data is not shown."""
    assert demo_plan.months(demo_plan.make_plan(NOW, 3, None, None)) == ("2026-11",)


def test_a_ledger_that_is_no_demo_is_never_touched(tmp_path: Path) -> None:
    """Somebody's ledger must not get simulated usage."""
    (tmp_path / demo_plan.LEDGER_FILE).touch()
    with pytest.raises(ConfigError, match="holds a ledger that is no demo"):
        demo_plan.settle(tmp_path, demo_plan.make_plan(NOW, 3, None, None))


def test_an_existing_demo_keeps_its_start_and_gets_the_later_end(tmp_path: Path) -> None:
    """What was delivered stays delivered: the agents go on from their checkpoints."""
    first = demo_plan.make_plan(NOW, 3, 5, 2)
    demo_plan.remember(tmp_path, first)
    later = demo_plan.make_plan(NOW.replace(day=25), 30, 5, 2)
    settled = demo_plan.settle(tmp_path, later)
    assert (settled.from_, settled.until) == (first.from_, later.until)


def test_agent_settings_are_ones_that_the_agent_accepts(tmp_path: Path) -> None:
    """What the demo writes is checked by the agent's own reader: history ends, live does not."""
    plan = demo_plan.make_plan(NOW, 3, 5, 2)
    for live in (False, True):
        path = tmp_path / "a.toml"
        path.write_text(demo_plan.agent_settings(tmp_path, plan, "train-1", "north", "http://127.0.0.1:1", live=live))
        settings = load_config(AgentSettings, path, {})
        assert settings.simulation.live is live
        assert (settings.simulation.until is None) is live


def test_a_month_that_ends_while_the_demo_lives_is_not_closed() -> None:
    """Only what the history covers whole is closed: a demo that is started again in a later month still starts."""
    plan = demo_plan.make_plan(datetime(2026, 11, 25, 9, tzinfo=UTC), 30, None, None)
    periods = [
        {"label": "2026-10", "state": "closing", "to": "2026-11-01T00:00:00Z"},
        {"label": "2026-11", "state": "closing", "to": "2026-12-01T00:00:00Z"},
        {"label": "2026-12", "state": "open", "to": "2027-01-01T00:00:00Z"},
    ]
    assert demo_plan.ended(plan, periods) == ["2026-10"]
    assert demo_plan.ended(plan, [{**periods[0], "state": "closed"}]) == []


class Spent:
    """A ledger of which a book of budgets asks what one team spent."""

    def query(self, name: str, _params: dict[str, str]) -> dict[str, object]:
        """Return the owner, or what it spent."""
        if name == "owners":
            return {"rows": [{"team": "vision", "organisation": "acme", "department": "lab"}]}
        return {"currency": "EUR", "rows": [{"key": "vision", "kind": "owner", "cost": "100"}]}


@pytest.mark.parametrize("days", [30, 35, 60])
def test_budgets_of_the_demo_are_not_over_when_it_ends(days: int) -> None:
    """However long its history is."""
    book = budget_book(cast("Source", Spent()), demo_plan.make_plan(NOW, days, None, None))
    assert '..2026-11-29"' in book
