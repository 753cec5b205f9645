"""The cost of a thousand tokens of a real hour of an inference service, from its own log of requests."""

from __future__ import annotations

import csv
import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from collector.rating import rate_dirty
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.cli.main import main
from gpuledger.model import Holder
from tests.collector.batches import START_US, device, records
from tests.collector.fleet import open_ledger, prices, usage_frame

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("GPULEDGER_REALITY_DATA") or ROOT.parent / "shared" / "data") / "llm_requests_azure2023"


@pytest.fixture(scope="module")
def tokens() -> int:
    """Return how many tokens the hour's requests read and wrote; in CI their absence is a failure."""
    path = DATA / "code.csv"
    if not path.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{path} is missing: set GPULEDGER_REALITY_DATA")
        pytest.skip(f"no real data at {path}: set GPULEDGER_REALITY_DATA")
    with path.open(encoding="utf-8") as lines:
        return sum(int(row["ContextTokens"]) + int(row["GeneratedTokens"]) for row in csv.DictReader(lines))


def test_a_thousand_tokens_cost_what_the_gpus_cost(
    tokens: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four GPUs for an hour, by all tokens: multiplied back it is the cost, to half a quantum for each thousand."""
    endpoint = Holder("pod:code/c", "pod", namespace="serving", pod="code-assistant", container="c")
    usage = [
        record
        for number in range(4)
        for record in records(f"GPU-{number:04d}", START_US, START_US + US_PER_HOUR, endpoint.key, step_us=US_PER_HOUR)
    ]
    with open_ledger(tmp_path / "ledger") as ledger:
        devices = [device(number) for number in range(4)]
        assert ledger.ingest([usage_frame(0, usage, devices, [endpoint])])[0].taken
        prices(ledger, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.491500007"\n')
        rate_dirty(ledger)
    counts = tmp_path / "tokens.csv"
    counts.write_text(f"key,count\ncode-assistant,{tokens}\n")
    period = f"{iso(START_US)}..{iso(START_US + US_PER_HOUR)}"
    given = ("--ledger", str(tmp_path / "ledger"), "--period", period, "--counts", str(counts), "--unit", "tokens")
    assert main(["unit-cost", *given, "--format", "json"]) == 0
    [row] = json.loads(capsys.readouterr().out)["rows"]
    assert tokens > 10**7
    assert Decimal(row["cost"]) == 4 * Decimal("2.491500007")
    apart = abs(Decimal(row["unit_cost"]) * tokens / 1000 - Decimal(row["cost"]))
    assert apart <= Decimal("0.5e-9") * tokens / 1000
