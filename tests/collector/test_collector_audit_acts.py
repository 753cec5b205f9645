"""Every way to change a bill leaves its event, in the act's own transaction; asking and trying leave none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from collector.access.gate import READ_ALL
from collector.api.routes import routes
from collector.app import running
from collector.imports.jobs import JobRecord, PoolFacts
from collector.imports.payload import MEDIA_TYPE as JOBS
from collector.imports.payload import JobImport, encode_import
from collector.ledger.calendar import CalendarChange
from collector.queries.audit import audit
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.tokens import JOIN, find_token, left_here
from gpuledger.wire import MEDIA_TYPE as BATCH
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import open_ledger
from tests.collector.test_collector_api import Site, settings

TOML, CSV, JSON = "application/toml", "text/csv", "application/json"
AT: Final = [iso(START_US + n * US_PER_HOUR) for n in range(4)]
PRICES: Final = f'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.40"\nfrom = {AT[1]}\n'
OWNERS: Final = '[[owner]]\nteam = "vision"\nmatch.namespace = "team-1"\n'
SHARES: Final = '[[share]]\nteam = "vision"\ngpus = 1\n'
POLICIES: Final = '[[policy]]\nidle = "even"\n'
RULES: Final = '[[approvers]]\nname = "bob"\nroles = ["finance"]\n'
ADJUST: Final = '{"kind":"adjustment","owner":"vision","amount":"5","currency":"EUR","by":"ann","why":"agreed"}'
PEOPLE: Final = '[[person]]\nuser = "ana"\nteam = "vision"\nfrom = 2026-01-01T00:00:00Z\n'
USAGE: Final = records("GPU-0001", START_US, START_US + 3 * US_PER_HOUR, "pod:uid-1/c")
CLOSE: Final = '{{"period":"{}..{}","by":"ann","exception":"accepted"}}'
ENROL: Final = f'{{"agent":"node-7","digest":"{"ab" * 32}"}}'
DRIFT: Final = (
    '{"by":"team","level":0.05,"reference":["2026-10-01","2026-10-29"],"current":["2026-10-29","2026-11-05"],"tested":40,'
    '"results":[{"scope":"team:vision","metric":"power_w","verdict":"drift","score":0.4}]}'
)
ADVICE: Final = (
    '{"period":["2026-10-01","2026-11-01"],"currency":"EUR","advice":[{"kind":"held_idle","reason":"memory_held",'
    '"part_us":"1512000000000","workload":"jupyter","team":"vision","low":"0.5","high":"1.25"}]}'
)
QUOTAS: Final = '[[quota]]\nowner = "acme"\ndevices = "8"\n'
BUDGETS: Final = '[[budget]]\nowner = "acme"\nperiod = "month"\ncurrency = "EUR"\namount = "10"\n'
WHO: Final = '"by":"ann","why":"agreed"'


class Did(NamedTuple):
    """One request, the route that takes it, and the acts that it has to leave."""

    route: str
    body: str | bytes
    acts: tuple[str, ...] = ()
    content_type: str = JSON
    path: str = ""


HISTORY: Final = (
    Did("/v1/batches", frame(0, USAGE), ("agent.new",), BATCH),
    Did("/v1/prices/trial", PRICES, (), TOML),
    Did("/v1/prices", PRICES, ("price.import",), TOML),
    Did("/v1/owners/trial", OWNERS, (), TOML),
    Did("/v1/owners", OWNERS, ("owner.import",), TOML),
    Did("/v1/owners/explain", OWNERS, (), TOML, "/v1/owners/explain?holder=pod:uid-1/c"),
    Did("/v1/owners/test", OWNERS, (), TOML, f"/v1/owners/test?period={AT[0]}..{AT[3]}"),
    Did("/v1/directory/trial", PEOPLE, (), TOML),
    Did("/v1/directory", PEOPLE, ("directory.import",), TOML),
    Did("/v1/shares/trial", SHARES, (), TOML),
    Did("/v1/shares", SHARES, ("share.import",), TOML),
    Did("/v1/policies/trial", POLICIES, (), TOML),
    Did("/v1/policies", POLICIES, ("policy.import",), TOML),
    Did("/v1/carbon", f"region,hour,g_per_kwh\nnorth,{AT[0]},300\n", ("carbon.import",), CSV),
    Did("/v1/imports/jobs", b"", ("agent.new", "jobs.import"), JOBS),
    Did("/v1/periods", CLOSE.format(AT[0], AT[1]), ("period.close",)),
    Did("/v1/periods", CLOSE.format(AT[1], AT[2]), ("period.close",)),
    Did("/v1/disputes", f'{{"on":"CHARGED-1",{WHO}}}', ("dispute.open",)),
    Did("/v1/disputes/{number}/resolution", '{"decision":"rejected","by":"bob","why":"no"}', ("dispute.resolve",)),
    Did("/v1/disputes", f'{{"on":"CHARGED-1",{WHO}}}', ("dispute.open",)),
    Did("/v1/disputes/{number}/withdrawal", f"{{{WHO}}}", ("dispute.withdraw",), JSON, "/v1/disputes/2/withdrawal"),
    Did("/v1/adjustments", f'{{"owner":"vision","amount":"1","currency":"EUR",{WHO}}}', ("adjustment.add",)),
    Did("/v1/adjustments/{number}/withdrawal", f"{{{WHO}}}", ("adjustment.withdraw",)),
    Did("/v1/tokens", '{"role":"finance","name":"fin"}', ("token.create",)),
    Did("/v1/tokens/{number}/revocation", "{}", ("token.revoke",), JSON, "/v1/tokens/4/revocation"),
    Did("/v1/agents", ENROL, ("agent.enrol",)),
    Did("/v1/prices", PRICES.replace(AT[1], AT[0]), ("price.import",), TOML),
    Did("/v1/adjustments/price", f'{{"period":"{AT[0]}..{AT[1]}",{WHO}}}', ("adjustment.price",)),
    Did("/v1/drift", DRIFT, ("drift.keep",)),
    Did("/v1/advice", ADVICE, ("advice.keep",)),
    Did("/v1/budgets/trial", BUDGETS, (), TOML),
    Did("/v1/budgets", BUDGETS, ("budget.import",), TOML),
    Did("/v1/budgets/evaluation", "{}", ()),
    Did("/v1/quotas/trial", QUOTAS, (), TOML),
    Did("/v1/quotas", QUOTAS, ("quota.import",), TOML),
    Did("/v1/quotas/evaluation", "{}", ()),
    Did("/v1/rules/dry-run", RULES, (), TOML),
    Did("/v1/rules", RULES, ("rules.import",), TOML),
    Did("/v1/rules/explain", '{"facts":{"kind":"quota"}}'),
    Did("/v1/approvals", ADJUST, ("approval.request",)),
    Did(
        "/v1/approvals/{number}/approval",
        '{"by":"bob"}',
        ("approval.approve", "adjustment.add", "approval.grant"),
    ),
    Did("/v1/approvals", ADJUST, ("approval.request",)),
    Did("/v1/approvals/{number}/denial", '{"by":"bob","why":"no"}', ("approval.deny",), JSON, "/v1/approvals/2/denial"),
    Did("/v1/approvals", ADJUST, ("approval.request",)),
    Did("/v1/approvals/{number}/withdrawal", f"{{{WHO}}}", ("approval.withdraw",), JSON, "/v1/approvals/3/withdrawal"),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run a collector."""
    with running(settings(tmp_path_factory.mktemp("acts"))) as url:
        yield Site(url)


def log(site: Site) -> list[tuple[str, str]]:
    """Return all acts with what they were done to, the oldest first."""
    rows = site.get("/v1/audit?limit=1000").json["rows"]
    return [(row["act"], row["subject"]) for row in reversed(rows) if row["act"] != READ_ALL]


def jobs() -> bytes:
    """Return a job of a scheduler's log, as it travels."""
    record = JobRecord(
        job="7", start_us=START_US, end_us=START_US + US_PER_HOUR, gpus=1, cluster="c2", account="vision",
        gpu_model="a100",
    )  # fmt: skip
    return encode_import(JobImport("log", (record,), None, PoolFacts()))


def body_of(site: Site, did: Did) -> bytes:
    """Return what is sent: a line that is charged is found first."""
    if did.content_type == JOBS:
        return jobs()
    if isinstance(did.body, bytes):
        return did.body
    charged = [row["number"] for row in site.get("/v1/invoices").json["rows"] if row["team"] == "vision"]
    return did.body.replace("CHARGED", str(charged[-1]) if charged else "").encode()


def test_every_route_that_changes_leaves_its_event(site: Site) -> None:
    """There is no other, and what is refused, or said a second time, leaves nothing."""
    asked = {"/v1/admission", "/v1/admission/slurm"}  # which change nothing; answers are recorded in batches
    assert {route.path for route in routes() if route.method == "POST"} - asked == {did.route for did in HISTORY}
    for did in HISTORY:
        before = log(site)
        path = did.path or did.route.replace("{number}", "1")
        sent = body_of(site, did)
        by = f"Bearer {find_token(site.url) if did.route != '/v1/agents' else left_here(site.url, JOIN)}"
        answer = site.ask("POST", path, sent, content_type=did.content_type, authorization=by)
        assert answer.status == 200, (did.route, answer.body)
        assert tuple(act for act, _ in log(site)[len(before) :]) == did.acts, did.route
        if did.acts and did.route not in ("/v1/adjustments", "/v1/disputes", "/v1/approvals", "/v1/drift"):
            again = log(site)
            site.ask("POST", path, sent, content_type=did.content_type, authorization=by)
            assert log(site) == again, f"{did.route} a second time changes nothing"
    assert all(subject for _, subject in log(site))


def test_a_new_calendar_leaves_its_event(tmp_path: Path) -> None:
    """Whose days a month means is on record; the same again is no change."""
    with open_ledger(tmp_path) as ledger:
        for _ in range(2):
            ledger.change_calendar(CalendarChange("Europe/Berlin", 24))
        rows = audit(ledger, None, act="", actor="", limit=10).rows
        assert [(row.act, row.details) for row in rows] == [
            ("calendar.change", {"zone": "Europe/Berlin", "grace_hours": 24})
        ]
