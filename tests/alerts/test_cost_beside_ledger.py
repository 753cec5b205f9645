"""What recording rules make of the collector's totals, beside what the ledger says: the same, but for what was late."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.ledger.store import Ledger
from collector.queries.chargeback import chargeback
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, to_us
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE
from tests.collector.batches import device, records
from tests.collector.fleet import open_ledger, owners, prices, usage_frame
from tests.collector.two_teams import NODES, holder_of

RULES = Path(__file__).parents[2] / "alerts" / "rules" / "cost.yaml"
PROMTOOL = shutil.which("promtool")
MONTH_US = to_us(datetime(2026, 6, 1, tzinfo=UTC))
FIRST_US, UNTIL_US = MONTH_US - 6 * US_PER_HOUR, MONTH_US + 12 * US_PER_HOUR
FEBRUARY_MIN = 31 * 24 * 60  # promtool's time begins with 1970: the ledger's June is its February
STEP_MIN = 10
PRICES = 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.491500007"\nfrom = 2026-05-01T00:00:00Z\n'
OWNERS = "".join(
    f'[[owner]]\norganisation = "acme"\ndepartment = "d"\nteam = "{team}"\nmatch.namespace = "{team}-*"\n'
    for team in NODES
)


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    """Give what each team cost from the ledger's beginning up to each of its hours, as its metrics page has it."""
    with open_ledger(tmp_path_factory.mktemp("beside") / "ledger") as ledger:
        _fill(ledger)
        hours = range(FIRST_US, UNTIL_US + 1, US_PER_HOUR)
        return {
            **{team: [_cost(ledger, FIRST_US, until_us, team) for until_us in hours] for team in NODES},
            **{f"{team} in June": [_cost(ledger, MONTH_US, UNTIL_US, team)] for team in NODES},
        }


def _fill(ledger: Ledger) -> None:
    """Write 18 hours over the end of a month: each team's GPU, and one that they share by turns."""
    keys = {team: holder_of(team).key for team in NODES}
    usage = [
        record
        for number, team in enumerate(keys, 1)
        for record in records(f"GPU-{number:04d}", FIRST_US, UNTIL_US - 37 * number * US_PER_MINUTE, keys[team])
    ]
    people = [holder_of(team) for team in NODES]
    assert ledger.ingest([usage_frame(0, usage, [device(1), device(2)], people)])[0].taken
    prices(ledger, PRICES)
    owners(ledger, OWNERS)
    rate_dirty(ledger)


def _cost(ledger: Ledger, from_us: int, until_us: int, team: str) -> float:
    if until_us <= from_us:
        return 0.0
    rows = chargeback(ledger, Period(from_us, until_us, "part")).rows
    return next((float(row.cost) for row in rows if row.key == team and row.cost is not None), 0.0)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing: apt-get install prometheus")
@pytest.mark.parametrize("lag_min", [0, 10, 70])
def test_the_month_so_far_is_the_ledgers(costs: dict[str, list[float]], tmp_path: Path, lag_min: int) -> None:
    """Exactly with nothing late; else the month has what came late of the one before, and not what is late now."""
    ends = (UNTIL_US - FIRST_US) // US_PER_MINUTE
    start = (MONTH_US - FIRST_US) // US_PER_MINUTE
    series, expected = [], []
    for team in NODES:
        told = [costs[team][max(0, minute - lag_min) // 60] for minute in range(ends + 1)]
        assert told[start] > 0, "the month before has costs"
        assert told[ends] > told[start], "and so has this one"
        values = f"_x{FEBRUARY_MIN - start - 1} {' '.join(repr(value) for value in told)}"
        exported = f'gpuledger_team_cost_total{{team="{team}",currency="EUR",instance="c"}}'
        series.append({"series": exported, "values": values})
        month = told[ends] - told[start]
        labels = f'gpuledger:team_cost:month_to_date{{team="{team}",currency="EUR",month="197002"}}'
        expected.append({"labels": labels, "value": month})
        late_before = costs[team][start // 60] - told[start]
        late_now = costs[team][ends // 60] - told[ends]
        [june] = costs[f"{team} in June"]
        assert month - june == pytest.approx(late_before - late_now, abs=1e-6)
        if not lag_min:
            assert month == pytest.approx(june, abs=1e-6)
    asked = "gpuledger:team_cost:month_to_date"
    test = {"expr": asked, "eval_time": f"{FEBRUARY_MIN - start + ends}m", "exp_samples": expected}
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": f"{STEP_MIN}m",
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": [test]}],
    }
    path = tmp_path / "beside_test.yaml"
    path.write_text(json.dumps(document))
    command = [str(PROMTOOL), "test", "rules", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
