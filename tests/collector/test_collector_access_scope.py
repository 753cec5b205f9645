"""Rows of others do not exist: every endpoint for every role, and the parts of all teams sum to the whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from collector.access.identity import parse_nodes
from collector.access.roles import BOUND, Right, Role, may
from collector.access.scope import limited
from collector.api.asking import ask
from collector.api.questions import KIND, QUESTIONS, Question
from collector.api.routes import Route, routes
from collector.ledger.store import Ledger
from collector.queries.bill import KINDS
from collector.queries.grouping import BY
from tests.collector.ask import ask as sql
from tests.collector.fleet import open_ledger
from tests.collector.two_teams import ASKERS, NODES, PERIOD, WALRUS, ZEBRA, Site2, fill, two_teams

BOUND_ASKERS = ("zebra-viewer", "zebra-lead", "zebra-finance", "walrus-viewer", "walrus-lead")
FORMS = ("application/json", "text/csv", "application/vnd.apache.arrow.stream")
# Tables that have nothing of any owner: shared words, what the grid emits, whose days a month means.
OF_NOBODY = {
    "reasons", "evidence", "carbon_imports", "carbon_hours", "billing_calendars", "probe", "migrations", "summed_days",
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site2]:
    with two_teams(tmp_path_factory.mktemp("teams")) as found:
        yield found


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    with open_ledger(tmp_path_factory.mktemp("whole")) as found:
        fill(found)
        yield found


def values_of(question: Question, site: Site2) -> list[str]:
    """Return queries that ask a question for everything that there is, whoever's it is."""
    names = {parameter.name: parameter for parameter in question.parameters}
    found = [""]
    if "period" in names:
        found = [f"period={PERIOD}", "period=2026-05-28T20:00:00Z..2026-05-28T22:00:00Z"]
    if "by" in names:
        found = [f"{found[0]}&by={by}" for by in BY]
    if "view" in names:
        found.append(f"{found[0]}&view=usage")
    if KIND in question.parameters:
        found = [f"{each}&kind={kind}" for each in found for kind in KINDS]
    if "grain" in names:
        found.append(f"{found[0]}&grain=day")
    if "charge" in names:
        rows = site.get("admin", f"/v1/charges?period={PERIOD}").json["rows"]
        found = [f"charge={row['charge']}" for row in rows]
    if "holder" in names:
        found = [f"holder=pod:{team}/c" for team in NODES]
    if "id" in names or "number" in names:
        name = "id" if "id" in names else "number"
        found = [f"{name}={number}" for number in range(1, 12)]
    if "device" in names:
        found += [f"{found[0]}&device=GPU-000{n}" for n in (1, 2, 3, 9)]
    if "as_known" in names and question.name in ("chargeback", "disputes"):
        found.append(f"{found[0]}&as_known=2027-07-02T20:00:00Z")
    return found


@pytest.mark.parametrize("who", ["zebra-lead", "walrus-viewer"])
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: each.name)
def test_no_word_of_another_team_is_in_any_answer(site: Site2, question: Question, who: str) -> None:
    """Whatever is asked for, in whatever form; what is another's is refused like what never was."""
    other = WALRUS if who.startswith(ZEBRA) else ZEBRA
    for at, query in enumerate(values_of(question, site)):
        for form in FORMS if at == 0 else FORMS[:1]:
            answer = site.get(who, f"/v1/{question.name}?{query}", accept=form)
            said = answer.body.lower().replace(query.lower().encode(), b"")
            words = re.findall(rb"[^\"\\ ]*" + other.encode() + rb"[^\"\\ ]*", said)
            assert not [word for word in words if word.decode() not in query.lower()], (query, form, answer.body)
            assert answer.status in ((200, 400, 406) if question.needs is Right.READ else (403,)), (query, answer.body)


def test_what_is_anothers_reads_like_what_never_was(site: Site2) -> None:
    """A charge, an invoice, a dispute and a device of another: the same status and words as for a number of nobody's."""
    rows = site.get("admin", f"/v1/charges?period={PERIOD}").json["rows"]
    theirs = next(row["charge"] for row in rows if row["team"] == WALRUS and row["device"] == "GPU-0002")
    never = theirs.replace("GPU-0002", "GPU-0009")
    for path, there, nowhere in (
        ("explain?charge=", theirs, never),
        ("invoice?number=", "2", "999"),
        ("dispute?id=", "2", "999"),
    ):
        one, other = (site.get("zebra-viewer", f"/v1/{path}{each}") for each in (there, nowhere))
        assert one.status == other.status == 400, one.body
        assert one.body.decode().replace(there, "X") == other.body.decode().replace(nowhere, "X")
    one, other = (site.get("zebra-viewer", f"/v1/usage?period={PERIOD}&device=GPU-000{n}") for n in (2, 9))
    assert one.body == other.body
    asked = [b'{"on":"%s","by":"","why":"no"}' % on.encode() for on in (theirs, never)]
    one, other = (site.ask("zebra-lead", "POST", "/v1/disputes", each) for each in asked)
    assert (one.status, one.body.decode().replace(theirs, "X")) == (
        other.status,
        other.body.decode().replace(never, "X"),
    )


def test_a_team_lead_disputes_what_is_theirs_only(site: Site2) -> None:
    """Under their own name; another's dispute cannot be withdrawn, since there is none."""
    rows = site.get("zebra-lead", f"/v1/charges?period={PERIOD}").json["rows"]
    last = rows[-1]["charge"]
    body = b'{"on":"%s","by":"%s","why":"not ours"}'
    forged = site.ask("zebra-lead", "POST", "/v1/disputes", body % (last.encode(), b"walrus-lead"))
    assert (forged.status, forged.json["code"]) == (403, "forbidden")
    opened = site.ask("zebra-lead", "POST", "/v1/disputes", body % (last.encode(), b""))
    assert opened.status == 200, opened.body
    assert opened.json["dispute"]["opened_by"] == "zebra-lead"
    assert WALRUS.encode() not in opened.body
    number = opened.json["dispute"]["dispute"]
    gone = site.ask("walrus-lead", "POST", f"/v1/disputes/{number}/withdrawal", b'{"by":"","why":"x"}')
    assert gone.status == 400
    assert f"there is no dispute {number}" in gone.json["detail"]
    path = f"/v1/disputes/{number}/withdrawal"
    assert site.ask("zebra-lead", "POST", path, b'{"by":"","why":"ours after all"}').status == 200
    log = site.get("admin", "/v1/audit?actor=zebra-lead&act=dispute.withdraw").json["rows"]
    assert [row["subject"] for row in log] == [f"dispute {number}"]


def test_a_team_lead_asks_for_approval_for_what_is_theirs_only(site: Site2) -> None:
    """Under their own name, for an owner that they see the whole of; requests of others do not exist."""

    def ask_for(owner: str, kind: str = "budget", **more: str) -> Any:
        wanted = {"kind": kind, "owner": owner, "to": "2027-08-01", "by": "", "why": "the deadline", **more}
        if kind == "budget":
            wanted |= {"amount": "100", "currency": "EUR"}
        return site.ask("walrus-lead", "POST", "/v1/approvals", msgspec.json.encode(wanted))

    made = ask_for(NODES[WALRUS])
    assert made.status == 200, made.body
    assert made.json["approval"]["requested_by"] == "walrus-lead"
    assert made.json["approval"]["state"] == "waiting"
    number = made.json["approval"]["approval"]
    for owner in (NODES[ZEBRA], "acme", "acme/ice", "acme/never"):
        refused = ask_for(owner)
        assert (refused.status, refused.json["detail"]) == (400, f'no owner is called "{owner}"')
    assert ask_for(WALRUS).status == 400, "the end of a path may be another owner of the whole ledger"
    assert ask_for("", "price", content="x").status == 400
    mine = site.get("walrus-lead", "/v1/approvals").json["rows"]
    assert {row["owner"] for row in mine} == {NODES[WALRUS]}
    assert number in {row["approval"] for row in mine}
    everybodys = site.get("admin", "/v1/approvals").json["rows"]
    theirs = next(row["approval"] for row in everybodys if row["owner"] == NODES[ZEBRA])
    gone = site.ask("walrus-lead", "POST", f"/v1/approvals/{theirs}/withdrawal", b'{"by":"","why":"x"}')
    never = site.ask("walrus-lead", "POST", "/v1/approvals/999/withdrawal", b'{"by":"","why":"x"}')
    assert gone.status == never.status == 400
    assert gone.body.replace(str(theirs).encode(), b"999") == never.body
    assert site.ask("walrus-lead", "POST", f"/v1/approvals/{number}/approval", b'{"by":""}').status == 403
    second = ask_for(NODES[WALRUS]).json["approval"]["approval"]
    granted = site.ask("finance", "POST", f"/v1/approvals/{second}/approval", b'{"by":"","why":"it fits"}')
    assert granted.status == 200, granted.body
    assert [(step["by"], step["roles"]) for step in granted.json["rows"] if step["what"] == "approved"] == [
        ("finance", ["finance"])
    ], "the role of the token, for the whole organisation"
    assert site.ask("zebra-finance", "POST", f"/v1/approvals/{second}/approval", b'{"by":""}').status == 403
    ended = site.ask("walrus-lead", "POST", f"/v1/approvals/{number}/withdrawal", b'{"by":"","why":"done"}')
    assert (ended.status, ended.json["approval"]["state"]) == (200, "withdrawn")


@pytest.mark.parametrize("who", [*ASKERS, "admin", "nobody"])
@pytest.mark.parametrize("route", list(routes()), ids=lambda route: f"{route.method} {route.path}")
def test_every_endpoint_for_every_role(site: Site2, route: Route, who: str) -> None:
    """The table says who may; all others are refused before anything is read or done."""
    answer = site.ask(who, route.method, route.path.replace("{number}", "999"), b"" if route.method == "POST" else None)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    open_to_all = route.needs in (Right.NOTHING, Right.METRICS)
    if who == "nobody":
        assert (answer.status == 401) is not open_to_all, answer.body
        return
    role = Role.ADMIN if who == "admin" else Role(ASKERS[who].role)
    bound = who in BOUND_ASKERS
    allowed = open_to_all or may(role, route.needs, bound=bound)
    assert (answer.status == 403) is not allowed, answer.body
    assert answer.status not in (401, 500)


def test_every_route_says_what_it_needs() -> None:
    """One that does not is for administrators, and so are tokens: nothing else."""
    strict = {route.path for route in routes() if route.needs is Right.ADMINISTER}
    assert strict == {"/v1/tokens", "/v1/tokens/{number}/revocation"}
    assert all(route.needs in BOUND or route.method == "GET" or route.needs is not Right.READ for route in routes())


def test_every_table_is_limited_or_has_nothing_of_anybody(ledger: Ledger) -> None:
    """A new table is seen by nobody who is bound until somebody says which of its rows are whose."""
    seen = limited(ledger, parse_nodes(Role.VIEWER, [NODES[ZEBRA]]))
    tables = {name for (name,) in sql(ledger, "SELECT table_name FROM duckdb_tables() WHERE NOT temporary")}
    views = {name for (name,) in sql(seen, "SELECT view_name FROM duckdb_views() WHERE temporary")}
    assert tables - views == OF_NOBODY, "say in collector/ledger/scope.sql whose the rows of a new table are"


@pytest.mark.parametrize(
    "name", ["chargeback", "charges", "bill", "usage", "idle", "invoices", "disputes", "adjustments"]
)
def test_the_parts_of_all_teams_are_the_whole(ledger: Ledger, name: str) -> None:
    """What each team sees, together, is every row that is anybody's, none twice."""
    question = next(each for each in QUESTIONS if each.name == name)
    given = {"period": PERIOD, "limit": "100000"}
    values = {p.name: p.read(given.get(p.name), ledger.calendar.days) for p in question.parameters}

    def rows(nodes: list[str]) -> list[Any]:
        seen = parse_nodes(Role.FINANCE, nodes)
        return list(ask(ledger, question, values, lambda: None, seen).rows)  # type: ignore[attr-defined]

    def theirs(row: Any) -> bool:
        if name == "usage":
            return row.holder is not None
        return (
            getattr(row, "kind", "owner") == "owner"
            if name == "chargeback"
            else bool(getattr(row, "team", None) or name == "disputes")
        )

    parts = [row for team in NODES for row in rows([NODES[team]])]
    whole = [row for row in rows([]) if theirs(row)]

    def numbers(found: list[Any]) -> list[str]:
        hidden = ("because", "why", "moved_to")
        return sorted(str({f: getattr(row, f) for f in row.__struct_fields__ if f not in hidden}) for row in found)

    assert numbers(parts) == numbers(whole)
    assert whole


def test_a_choice_that_follows_from_everybodys_figures_is_not_for_one_team(site: Site2) -> None:
    """Shares of idle time tell what others held."""
    refused = site.get("zebra-viewer", f"/v1/chargeback?period={PERIOD}&idle_policy=even")
    assert (refused.status, refused.json["code"]) == (403, "forbidden")


def test_a_token_names_owners_that_there_are(site: Site2) -> None:
    """A team by its own name, what teams lie under, and nothing that is misspelled."""

    def teams(named: str) -> object:
        made = site.ask("admin", "POST", "/v1/tokens", b'{"role":"viewer","teams":["%s"]}' % named.encode())
        return made.json["token"]["teams"] if made.status == 200 else made.status

    assert teams(ZEBRA) == [NODES[ZEBRA]]
    assert teams("acme/ice") == ["acme/ice"]
    assert teams("acme") == ["acme"]
    assert teams("ice") == ["acme/ice"]
    assert teams("acme/i") == teams("zebras") == teams("platform") == 400


def test_a_team_sees_its_own_budget_and_no_other(site: Site2) -> None:
    """With the figures that everybody else sees of it; those of its department and of everything are not its own."""
    everybodys = site.get("admin", "/v1/budgets").json["rows"]
    assert len(everybodys) == 4
    for team in (ZEBRA, WALRUS):
        mine = site.get(f"{team}-viewer", "/v1/budgets").json["rows"]
        assert [row["owner"] for row in mine] == [NODES[team]]
        assert mine == [row for row in everybodys if row["owner"] == NODES[team]]
        assert site.get(f"{team}-viewer", "/v1/budgets/notices").status == 403


def test_a_team_sees_its_own_quota_and_no_other(site: Site2) -> None:
    """With the figures that everybody else sees of it, and nothing of who lends to it."""
    everybodys = site.get("admin", "/v1/quotas/status").json["rows"]
    assert len(everybodys) == 4
    for team in (ZEBRA, WALRUS):
        mine = site.get(f"{team}-viewer", "/v1/quotas/status").json["rows"]
        assert [row["owner"] for row in mine] == [NODES[team]]
        assert mine == [row for row in everybodys if row["owner"] == NODES[team]]
        for path in ("book", "manifests"):
            assert site.get(f"{team}-viewer", f"/v1/quotas/{path}").status == 403
