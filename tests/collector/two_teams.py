"""A ledger of two teams that share GPUs, where all that belongs to a team has its name in it; and who may ask it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from collector.app import running
from collector.governance.budget_books import import_budgets
from collector.governance.budgets import evaluate
from collector.governance.quota_books import import_quotas
from collector.governance.requests import request_approval
from collector.governance.rulebooks import import_rules
from collector.governance.wanted import Asked
from collector.ledger.store import Ledger
from collector.periods.closing import close_period
from collector.periods.disputes import open_dispute, resolve_dispute
from collector.periods.manual import add_adjustment
from collector.policies.imports import import_policies
from collector.pricing.imports import import_directory
from collector.pricing.shares import import_shares
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.model import Device, Event, Holder, State, UsageRecord
from tests.collector.batches import START_US, device, records
from tests.collector.fleet import NOW_US, open_ledger, owners, prices, usage_frame
from tests.collector.test_collector_api import Site, settings

HOUR = US_PER_HOUR
ZEBRA, WALRUS = "zebra", "walrus"
PERIOD = f"{iso(START_US)}..{iso(START_US + 6 * HOUR)}"
NODES = {ZEBRA: "acme/plains/zebra", WALRUS: "acme/ice/walrus"}
DEPARTMENT = {ZEBRA: "plains", WALRUS: "ice"}
_OWNER = """[[owner]]
organisation = "acme"
department = "{department}"
team = "{team}"
project = "{team}-project"
match.namespace = "{team}-*"
"""
_PRICES = f"""currency = "EUR"
[[price]]
model = "*"
rate = "2.491500007"
carbon_g_per_kwh = "118"
from = {iso(START_US - 24 * HOUR)}
[[price]]
model = "*"
rate = "2.2"
organisation = "acme"
department = "ice"
team = "walrus"
from = {iso(START_US - 24 * HOUR)}
[[contract]]
name = "lease-{WALRUS}"
vendor = "v-{WALRUS}"
cluster = "lab"
model = "NVIDIA H100*"
gpus = 5
rate = "1.5"
from = {iso(START_US)}
to = {iso(START_US + 6 * HOUR)}
"""


def hours(first: int, last: int) -> Period:
    """Return a period of whole hours of the test's time."""
    start_us, end_us = START_US + first * HOUR, START_US + last * HOUR
    return Period(start_us, end_us, f"{iso(start_us)}..{iso(end_us)}")


def holder_of(team: str) -> Holder:
    """Return the one pod of a team, with its name wherever it can be."""
    return Holder(
        key=f"pod:{team}/c", kind="pod", namespace=f"{team}-ns", pod=f"{team}-pod", pod_uid=f"{team}-uid",
        container=f"{team}-container", user=f"{team}-user", labels={"app": f"{team}-app"},
        team_claim=team,
    )  # fmt: skip


def usage() -> list[UsageRecord]:
    """Return six hours of three GPUs: one for each team, and one that they hold half of an hour each, and idle time."""
    at, half = START_US, HOUR // 2
    keys = {team: holder_of(team).key for team in NODES}
    shared = [
        record
        for n in range(6)
        for record in (
            *records("GPU-0001", at + n * HOUR, at + n * HOUR + half, keys[ZEBRA]),
            *records("GPU-0001", at + n * HOUR + half, at + (n + 1) * HOUR, keys[WALRUS]),
        )
    ]
    return [
        *shared,
        *records("GPU-0002", at, at + 3 * HOUR, keys[WALRUS], state=State.HELD_IDLE, reason="starved", active_us=0),
        *records("GPU-0002", at + 3 * HOUR, at + 6 * HOUR),
        *records("GPU-0003", at, at + 6 * HOUR, keys[ZEBRA]),
    ]


def events() -> list[Event]:
    """Return what happened: to each team alone, to both, to nobody."""
    at_us = START_US + HOUR
    alone = [
        Event(at_us, "ungranted_use", f"{team} uses it", "warning", "GPU-0001", holder_of(team).key) for team in NODES
    ]
    conflict = Event(
        at_us, "holder_conflict", "pod:walrus/c or pod:zebra/c", "warning", "GPU-0001", "pod:zebra/c",
        {"other": "pod:walrus/c"},
    )  # fmt: skip
    return [*alone, conflict, Event(at_us, "xid", "walrus was there", "error", "GPU-0001")]


def fill(ledger: Ledger) -> None:
    """Write all of it: usage, books, two closed periods, a dispute that moves cost, entered adjustments."""
    devices: list[Device] = [device(1), device(2), device(3)]
    people = [holder_of(team) for team in NODES]
    frame = usage_frame(0, usage(), devices, people, events=events())
    assert ledger.ingest([frame])[0].taken, ledger.ingest([frame])
    prices(ledger, _PRICES)
    owners(ledger, "".join(_OWNER.format(team=team, department=DEPARTMENT[team]) for team in NODES))
    books = {"source": f"{WALRUS}.toml", "imported_us": NOW_US}
    shares = "".join(
        f'[[share]]\norganisation = "acme"\ndepartment = "{DEPARTMENT[team]}"\nteam = "{team}"\ngpus = 1\n'
        for team in NODES
    )
    import_shares(ledger, shares.encode(), "toml", **books)
    people_file = "".join(
        f'[[person]]\nuser = "{team}-user"\nteam = "{team}"\nfrom = 2026-01-01T00:00:00Z\n' for team in NODES
    )
    import_directory(ledger, people_file.encode(), "toml", **books)
    import_policies(ledger, b'[[policy]]\nidle = "even"\n', "toml", **books)
    rules = f'default = "allow"\n[[rule]]\nname = "as {WALRUS}"\nfilter.kind = "budget"\naction = "hold"\nbecause = "{WALRUS}"\n'
    import_rules(ledger, rules.encode(), "toml", **books)
    for team, other in ((ZEBRA, WALRUS), (WALRUS, ZEBRA)):
        for kind, more in (("budget", {"amount": "7", "currency": "EUR"}), ("exception", {})):
            wanted = Asked(
                kind=kind, owner=NODES[team], by=f"{team}-lead", why=f"like {other}", to=iso(NOW_US + 24 * HOUR), **more
            )  # fmt: skip
            request_approval(ledger, wanted)
    rate_dirty(ledger)
    budgets = "".join(
        f'[[budget]]\nowner = "{owner}"\nperiod = "2026-01-01..2027-01-01"\ncurrency = "EUR"\namount = "1"\n'
        f'stages = [{{ at = 1, do = "hold", tell = ["{WALRUS}-lead"] }}]\n'
        for owner in (*NODES.values(), "acme", "*")
    )
    import_budgets(ledger, budgets.encode(), "toml", **books)
    quotas = "".join(
        f'[[quota]]\nowner = "{owner}"\ngpu_hours = "{hours}"\nperiod = "2026-01-01..2027-01-01"\nborrow = "all"\n'
        f'stages = [{{ at = 1, tell = ["{WALRUS}-lead"] }}]\n'
        for owner, hours in ((NODES[ZEBRA], "1"), (NODES[WALRUS], "9"), ("acme", "10"), ("*", "90"))
    )
    import_quotas(ledger, quotas.encode(), "toml", **books)
    assert len(evaluate(ledger).crossings) == 4
    close_period(ledger, hours(0, 2), closed_by="ann", exception=f"as {WALRUS} and {ZEBRA} agreed")
    for team, other in ((ZEBRA, WALRUS), (WALRUS, ZEBRA)):
        number = _invoice(ledger, team)
        opened = open_dispute(ledger, on=f"{number}-1", by=f"{team}-lead", why=f"it was {other}")
        resolve_dispute(ledger, opened, decision="upheld", by="fin", why=f"{other} said so", to=NODES[other])
        add_adjustment(
            ledger, owner=NODES[team], amount="5", currency="EUR", by="fin", why=f"from {other}",
            from_owner=NODES[other],
        )  # fmt: skip
    close_period(ledger, hours(2, 4), closed_by="ann", exception="none")
    open_dispute(ledger, on=f"{_invoice(ledger, WALRUS)}-2", by=f"{WALRUS}-lead", why="still open")


def _invoice(ledger: Ledger, team: str) -> int:
    found = ledger.execute("query_invoices", {"invoice_number": 0}).to_pylist()
    return next(int(row["invoice_number"]) for row in found if row["team"] == team)


class Asker(NamedTuple):
    """Somebody with a token."""

    role: str
    teams: list[str]


ASKERS = {
    "zebra-viewer": Asker("viewer", [NODES[ZEBRA]]),
    "walrus-viewer": Asker("viewer", [NODES[WALRUS]]),
    "zebra-lead": Asker("team-lead", ["acme/plains"]),
    "walrus-lead": Asker("team-lead", [NODES[WALRUS]]),
    "zebra-finance": Asker("finance", [NODES[ZEBRA]]),
    "whole-viewer": Asker("viewer", ["*"]),
    "finance": Asker("finance", []),
    "approver": Asker("approver", []),
    "joiner": Asker("join", []),
}


class Site2(NamedTuple):
    """The running collector, and a token for everybody."""

    site: Site
    tokens: dict[str, str]

    def ask(self, who: str, method: str, path: str, body: bytes | None = None, **headers: str):
        """Ask as somebody; as nobody where there is no such token."""
        token = self.tokens.get(who)
        given = {"authorization": f"Bearer {token}"} if token else {"authorization": "", "host": "collector.example"}
        return self.site.ask(method, path, body, **{**given, **headers})

    def get(self, who: str, path: str, **headers: str):
        """Read as somebody."""
        return self.ask(who, "GET", path, **headers)


@contextmanager
def two_teams(folder: Path) -> Iterator[Site2]:
    """Run a collector over such a ledger, with a token for every kind of role."""
    with open_ledger(folder / "ledger") as ledger:
        fill(ledger)
    with running(settings(folder / "ledger")) as url:
        site = Site(url)
        assert site.token
        tokens = {"admin": site.token}
        for name, asker in ASKERS.items():
            body = f'{{"role":"{asker.role}","name":"{name}","teams":{str(asker.teams).replace(chr(39), chr(34))}}}'
            made = site.ask("POST", "/v1/tokens", body.encode())
            assert made.status == 200, made.body
            tokens[name] = made.json["secret"]
        yield Site2(site, tokens)
