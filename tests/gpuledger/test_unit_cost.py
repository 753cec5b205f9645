"""The cost of a thousand: cost by count, exact; what cannot be divided has a name, and counts of another time are refused."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.rating import rate_dirty
from gpuledger.accounting.periods import iso
from gpuledger.accounting.unit_cost import Known, unit_cost
from gpuledger.accounting.units import US_PER_HOUR, US_PER_SECOND
from gpuledger.cli.main import main
from gpuledger.model import Holder
from tests.collector.batches import START_US, device, records
from tests.collector.fleet import open_ledger, owners, prices, usage_frame

HOUR = US_PER_HOUR
END_US = START_US + 2 * HOUR
PERIOD = f"{iso(START_US)}..{iso(END_US)}"


@given(cost=st.integers(0, 10**24), count=st.integers(1, 10**18), per=st.integers(1, 10**6))
def test_the_cost_of_a_unit_is_the_quotient(cost: int, count: int, per: int) -> None:
    """To half a quantum."""
    found = unit_cost(cost, count, per=per)
    assert found.known is Known.KNOWN
    assert found.quanta is not None
    assert abs(found.quanta - Fraction(cost * per, count)) <= Fraction(1, 2)


def test_what_cannot_be_divided_has_a_name() -> None:
    """Nothing served is no cost of zero, and neither is time without a price."""
    assert unit_cost(5, 0) == (Known.NOTHING_SERVED, None)
    assert unit_cost(5, None) == (Known.NO_COUNT, None)
    assert unit_cost(5, 7, priced=False) == (Known.NO_PRICE, None)
    assert unit_cost(None, 7) == (Known.NO_TIME, None)
    for count, per in ((-1, 1), (1, 0)):
        with pytest.raises(ValueError, match="divided"):
            unit_cost(1, count, per=per)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ledger of two hours: an endpoint of two replicas, one without a price, one that serves nothing."""
    folder = tmp_path_factory.mktemp("ledger")
    pods = ("assistant-0", "assistant-1", "search", "idle")
    holders = [Holder(f"pod:{name}/c", "pod", namespace="serving", pod=name, container="c") for name in pods]
    usage = [
        record
        for number, who in enumerate(holders)
        for record in records(f"GPU-{number:04d}", START_US, END_US, who.key, step_us=HOUR)
    ]
    devices = [device(number, model="H100" if number != 2 else "X1") for number in range(4)]
    with open_ledger(folder) as opened:
        assert opened.ingest([usage_frame(0, usage, devices, holders)])[0].taken
        prices(opened, 'currency = "EUR"\n[[price]]\nmodel = "H100"\nrate = "3"\n')
        owners(opened, '[[owner]]\nteam = "vision"\nmatch.namespace = "serving"\n')
        rate_dirty(opened)
    return folder


def ask(capsys: pytest.CaptureFixture[str], ledger: Path, counts: Path, *options: str) -> dict[str, Any]:
    """Return the answer of the command."""
    given = ("--ledger", str(ledger), "--period", PERIOD, "--counts", str(counts), "--format", "json", *options)
    assert main(["unit-cost", *given]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_replicas_are_one_endpoint(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twelve euros for 48,000 requests are a quarter for a thousand; the rest is named, and what is not counted too."""
    counts = tmp_path / "counts.csv"
    counts.write_text("key,count\nassistant-0,20000\nassistant-1,28000\nsearch,5\nidle,0\nelsewhere,9\n")
    answer = ask(capsys, ledger, counts)
    assert {row["key"]: (row["count"], row["cost"], row["unit_cost"], row["known"]) for row in answer["rows"]} == {
        "assistant": (48_000, "12.000000000", "0.250000000", "known"),
        "search": (5, "0.000000000", None, "no_price"),
        "idle": (0, "6.000000000", None, "nothing_served"),
        "elsewhere": (9, None, None, "no_time"),
    }
    assert answer["left_over"]["groups"] == 0
    counts.write_text("key,count\nassistant,48000\n")
    left = ask(capsys, ledger, counts, "--per", "1")["left_over"]
    assert (left["groups"], left["cost"]) == (2, "6.000000000")


def prometheus(*series: tuple[dict[str, str], str], at_us: int = END_US, kind: str = "vector") -> str:
    """Return an answer of /api/v1/query."""
    result = [{"metric": labels, "value": [at_us / US_PER_SECOND, value]} for labels, value in series]
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}})


def test_prometheus_is_understood(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fractions of `increase()` add up before they are rounded; a label names what served."""
    counts = tmp_path / "counts.json"
    first, second = ({"pod": f"assistant-{number}", "job": "vllm"} for number in range(2))
    counts.write_text(prometheus((first, "23999.75"), (second, "24000.25")))
    [row] = ask(capsys, ledger, counts, "--label", "pod", "--unit", "tokens")["rows"]
    assert (row["key"], row["count"], row["unit_cost"]) == ("assistant", 48_000, "0.250000000")
    assert main(["unit-cost", "--ledger", str(ledger), "--period", PERIOD, "--counts", str(counts), "--label", "pod",
                 "--unit", "tokens", "--format", "table"]) == 0  # fmt: skip
    shown = capsys.readouterr().out
    assert "Cost of 1,000 tokens" in shown
    assert "0.250000" in shown


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("key,number\na,1\n", "columns key,count"),
        ("key,count\na,1.5\n", "line 2"),
        ("key,count\n,1\n", "line 2"),
        ("{}", "no answer of Prometheus"),
        ("{", "no answer of Prometheus"),
        (prometheus(kind="matrix"), "holds a matrix"),
        (prometheus(({"a": "x", "b": "y"}, "1")), "2 labels"),
        (prometheus(({"a": "x"}, "NaN")), "no count"),
        (prometheus(({"a": "x"}, "-1")), "no count"),
        (prometheus(({"a": "x"}, "1"), at_us=END_US + HOUR), "the period ends at"),
    ],
)
def test_counts_that_are_none_are_refused(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    """Each says what it is and what to do."""
    counts = tmp_path / "counts"
    counts.write_text(text)
    assert main(["unit-cost", "--ledger", str(ledger), "--period", PERIOD, "--counts", str(counts)]) == 2
    assert says in capsys.readouterr().err
