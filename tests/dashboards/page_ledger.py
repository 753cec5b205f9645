"""The ledger behind the browser tests: closed and open periods, recognised tools, faults, and names that attack pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from collector.governance.budget_books import import_budgets
from collector.governance.quota_books import import_quotas
from collector.governance.requests import request_approval, withdraw
from collector.governance.wanted import Asked
from collector.ledger.store import Ledger
from collector.rating import rate_dirty
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_DAY
from gpuledger.model import Event, State, Workload
from gpuledger.wire import encode
from tests.analytics.ledgers import HOUR, OWNERS, billed_ledger
from tests.collector.batches import START_US, batch, device, holder, records
from tests.collector.fleet import NOW_US, open_ledger, owners

MARKUP: Final = '<script>document.title="taken"</script><b onclick=alert(1)>bold</b>'
FORMULA: Final = '=HYPERLINK("http://evil.example","click")'
LONG: Final = "x" * 200
EMOJI: Final = "🚀 équipe d'été"
RIGHT_TO_LEFT: Final = "فريق الرؤية"
HOSTILE: Final = (MARKUP, FORMULA, LONG, EMOJI, RIGHT_TO_LEFT)
PERIOD: Final = "2026-05"


def page_ledger(folder: Path) -> Path:
    """Make it: on top of billed_ledger, in its open hours, a node whose teams, users and workloads have such names."""
    billed_ledger(folder)
    at = START_US + 4 * HOUR
    tools = ("mlflow", "kserve", "", "wandb", "ray")
    held = [
        holder(10 + n, namespace=f"evil-{n}", user=name, workload=Workload(tool, "exp", str(n), name) if tool else None, pod=name)
        for n, (name, tool) in enumerate(zip(HOSTILE, tools, strict=True))
    ]  # fmt: skip
    idle: dict[str, Any] = {"state": State.HELD_IDLE, "reason": "memory_held", "active_us": 0}
    usage = [
        each
        for n in range(5)
        for part, changes in ((at, {}), (at + HOUR, idle))
        for each in records(f"GPU-{10 + n:04d}", part, part + HOUR, f"pod:uid-{10 + n}/c", **changes)
    ]
    gpus = [device(10 + n, pci_bus_id=f"00000000:{n:02X}:00.0") for n in range(5)]
    lost = Event(
        at + HOUR, "xid", "XID 79 on GPU-0010: the GPU has fallen off the bus", "error", "GPU-0010",
        details={"xid": "79", "class": "bus", "action": "reboot_node"},
    )  # fmt: skip
    said = Event(at + HOUR, "xid", f"XID 13 on GPU-0011: {MARKUP}", "warning", "GPU-0011", details={"xid": "13"})
    frame = batch(0, usage, agent="node-b", devices=gpus, holders=held, events=[lost, said])
    rules = "".join(
        f"[[owner]]\norganisation = '{org}'\nteam = '''{name}'''\nmatch.namespace = 'evil-{n}'\n"
        for n, (name, org) in enumerate(zip(HOSTILE, ("acme", "acme", "acme", "", "<i>org</i>"), strict=True))
    )
    with open_ledger(folder) as ledger:
        assert ledger.ingest([encode(frame, level=1)])[0].taken
        owners(ledger, OWNERS + rules)
        rate_dirty(ledger)
        _govern(ledger)
    return folder


def _govern(ledger: Ledger) -> None:
    """Set a budget that is spent and one that is not, and quotas that are lent; ask for something that waits, and for what is taken back."""
    book = (
        f"[[budget]]\nowner = '''acme/{EMOJI}'''\nperiod = 'month'\ncurrency = 'EUR'\namount = '0.01'\n"
        "stages = [{ at = 80, do = 'hold' }]\n"
        "[[budget]]\nowner = '*'\nperiod = 'month'\ncurrency = 'EUR'\namount = '100000'\n"
    )
    import_budgets(ledger, book.encode(), "toml", source="budgets.toml", imported_us=NOW_US)
    quotas = (
        f"[[quota]]\nowner = '''acme/{EMOJI}'''\ngpu_hours = '0.5'\nperiod = '2026-01-01..2027-01-01'\nborrow = '1'\n"
        f"[[quota]]\nowner = '''acme/{LONG}'''\ngpu_hours = '8'\nperiod = '2026-01-01..2027-01-01'\n"
        "[[quota]]\nowner = '*'\ndevices = '10'\nmodel = 'NVIDIA *'\n"
    )
    import_quotas(ledger, quotas.encode(), "toml", source="quotas.toml", imported_us=NOW_US)
    until = iso(NOW_US + 30 * US_PER_DAY)
    for why in (MARKUP, "the deadline"):
        wanted = Asked(kind="budget", owner=EMOJI, amount="9", currency="EUR", to=until, by=FORMULA, why=why)
        request_approval(ledger, wanted)
    withdraw(ledger, 2, by=FORMULA, why="not needed")
