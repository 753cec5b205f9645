"""Approvals and rules over HTTP: an approval flow from end to end, and what is refused before anything is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from collector.app import running
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR
from gpuledger.clock import WallClock
from tests.collector.batches import START_US, frame, records
from tests.collector.test_collector_api import OWNERS, PRICES, Answer, Site, settings

RULES = b"""
[[rule]]
name = "large"
filter.kind = "adjustment"
when.amount = { over = "10 EUR" }
action = "approval"
approvals = [{ roles = ["finance"], count = 2 }]
because = "over ten finance looks twice"

[[rule]]
name = "prices"
filter.kind = "price"
action = "refuse"
because = "prices come from purchasing"

[[rule]]
name = "budget books"
filter.kind = "budget_book"
action = "approval"
approvals = [{ roles = ["finance"] }]

[[approvers]]
name = "bob"
roles = ["finance"]
[[approvers]]
name = "eve"
roles = ["finance"]
"""
ADJUST = '{"kind":"adjustment","owner":"vision","amount":"-20","currency":"EUR","by":"ann","why":"agreed"}'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run a collector with two hours of a GPU that vision held, and a rule book."""
    with running(settings(tmp_path_factory.mktemp("approvals"))) as url:
        found = Site(url)
        usage = records("GPU-0001", START_US, START_US + 2 * US_PER_HOUR, "pod:uid-1/c")
        assert found.ask("POST", "/v1/batches", frame(0, usage)).status == 200
        for path, body in (("prices", PRICES), ("owners", OWNERS), ("rules", RULES)):
            assert found.ask("POST", f"/v1/{path}", body, content_type="application/toml").status == 200
        yield found


def post(site: Site, path: str, body: str) -> Answer:
    return site.ask("POST", path, body.encode("utf-8", "surrogatepass"), content_type="application/json")


def test_from_a_request_to_what_it_made(site: Site) -> None:
    """Asked, explained, approved by two others, done; each answer is the request as it stands."""
    asked = post(site, "/v1/approvals", ADJUST).json
    number = asked["approval"]["approval"]
    assert (asked["approval"]["state"], asked["approval"]["needs"]) == ("waiting", "2 of finance")
    decided = site.get(f"/v1/rules/decision?id={asked['decision']}").json
    assert (decided["rule"], decided["because"]) == ("large", "over ten finance looks twice")
    path = f"/v1/approvals/{number}/approval"
    own = post(site, path, '{"by":"Ann"}')
    assert (own.status, own.json["code"]) == (409, "entry")
    assert "another person" in own.json["detail"]
    assert post(site, path, '{"by":"bob","why":"fits"}').json["approval"]["needs"] == "1 of finance"
    assert post(site, path, '{"by":"bob"}').status == 409
    granted = post(site, path, '{"by":"eve"}').json
    assert granted["approval"]["state"] == "granted"
    [row] = site.get("/v1/entered").json["rows"]
    assert f"adjustment {row['adjustment']}" == granted["approval"]["made"]
    assert (row["cost"], row["owner"]) == ("-20.00", "vision")
    assert site.get(f"/v1/approval?id={number}").json == granted
    assert [each["approval"] for each in site.get("/v1/approvals?state=granted").json["rows"]] == [number]
    assert site.get("/v1/approvals", accept="text/csv").body.startswith(b"approval,state,kind")
    for how in ("denial", "withdrawal"):
        assert post(site, f"/v1/approvals/{number}/{how}", '{"by":"bob","why":"no"}').status == 409


def test_what_rules_want_approved_is_not_done_without(site: Site) -> None:
    """The direct way says which rule and how to ask; the refusal is on record. What no rule speaks of is done."""
    body = '{"owner":"vision","amount":"-20","currency":"EUR","by":"ann","why":"agreed"}'
    refused = post(site, "/v1/adjustments", body)
    assert (refused.status, refused.json["code"]) == (409, "entry")
    assert 'rule "large" wants approval of 2 of finance' in refused.json["detail"]
    assert refused.json["hint"] == "ask for it: gpuledger approval request adjustment"
    prices = site.ask("POST", "/v1/prices", PRICES + b"# again\n", content_type="application/toml")
    assert (prices.status, "purchasing" in prices.json["detail"]) == (409, True)
    assert [row["act"] for row in site.get("/v1/audit?limit=2").json["rows"]] == ["rules.refuse", "rules.refuse"]
    assert [row["action"] for row in site.get("/v1/rules/decisions?limit=2").json["rows"]] == ["refuse", "approval"]
    assert post(site, "/v1/adjustments", body.replace("-20", "-5")).status == 200
    asked = post(site, "/v1/approvals", '{"kind":"price","content":"x","by":"ann","why":"x"}')
    assert (asked.status, asked.json["code"]) == (422, "price_book")


def test_a_budget_book_that_allows_more_is_approved_first(site: Site) -> None:
    """Refused directly, imported by the approval of another person, over HTTP; a lower one goes in at once."""
    text = '[[budget]]\nowner = "vision"\nperiod = "month"\ncurrency = "EUR"\namount = "900"\n'
    direct = site.ask("POST", "/v1/budgets", text.encode(), content_type="application/toml")
    assert (direct.status, direct.json["hint"]) == (409, "ask for it: gpuledger approval request budget_book")
    assert site.get("/v1/budgets/book").json["version"] is None
    body = json.dumps({"kind": "budget_book", "content": text, "by": "bob", "why": "the new year"})
    number = post(site, "/v1/approvals", body).json["approval"]["approval"]
    own = post(site, f"/v1/approvals/{number}/approval", '{"by":"Bob"}')
    assert (own.status, "another person" in own.json["detail"]) == (409, True)
    granted = post(site, f"/v1/approvals/{number}/approval", '{"by":"eve"}').json
    assert granted["approval"]["made"] == "budgets 1"
    assert site.get("/v1/budgets/book").json["version"] == 1
    lower = site.ask("POST", "/v1/budgets", text.replace("900", "800").encode(), content_type="application/toml")
    assert (lower.status, lower.json["version"]) == (200, 2)


def test_a_rule_book_is_tried_before_it_decides(site: Site) -> None:
    """The dry run says what was decided otherwise; explain says what would be."""
    before = len(site.get("/v1/rules/decisions").json["rows"])
    post(site, "/v1/approvals", ADJUST)
    tried = site.ask("POST", "/v1/rules/dry-run", RULES.replace(b"10 EUR", b"99 EUR"), content_type="application/toml")
    assert (tried.status, tried.json["decisions"]) == (200, before + 1)
    assert {row["rule_after"] for row in tried.json["rows"]} == {""}
    assert site.get("/v1/rules").json["version"] == 1
    assert [row["version"] for row in site.get("/v1/rules/history").json["rows"]] == [1]
    explained = post(site, "/v1/rules/explain", '{"facts":{"kind":"adjustment","amount":"11 EUR"}}').json
    assert (explained["action"], explained["rows"][0]["became"]) == ("approval", "decides")
    bad = site.ask("POST", "/v1/rules", b"[[rule]]\nname = 'x'\n", content_type="application/toml")
    assert (bad.status, bad.json["code"]) == (422, "rule_book")


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v1/approvals", ADJUST.replace('"adjustment"', '"ajustment"'), 400, "ajustment"),
        ("/v1/approvals", ADJUST.replace('"-20"', "-20"), 400, "str"),
        ("/v1/approvals", ADJUST.replace('"-20"', '"-2e1"'), 400, "not an amount"),
        ("/v1/approvals", ADJUST.replace('"by"', '"amount":"5","by"'), 400, '"amount" is given twice'),
        ("/v1/approvals", ADJUST.replace('"by"', '"approved":true,"by"'), 400, "approved"),
        ("/v1/approvals", ADJUST.replace("agreed", "a" * 900), 400, "over 800"),
        ("/v1/approvals", ADJUST.replace("agreed", "x" * 70_000), 413, "over the limit"),
        ("/v1/approvals", ADJUST.replace("agreed", "\ud800"), 400, "invalid"),
        ("/v1/approvals", ADJUST.replace("agreed", "\\u0000"), 400, "not a line"),
        ("/v1/approvals", "[" * 5_000, 400, "what is asked"),
        ("/v1/approvals/99/approval", '{"by":"bob"}', 400, "no approval 99"),
        ("/v1/approvals/0/approval", '{"by":"bob"}', 400, "not a whole number"),
        ("/v1/approvals/1/denial", '{"by":"bob"}', 400, "why"),
        ("/v1/rules/explain", '{"facts":{"gpus":"8","gpus":"1"}}', 400, '"gpus" is given twice'),
        ("/v1/rules/explain", '{"facts":{"gpu":"8"}}', 422, "no fact"),
        ("/v1/rules/explain", '{"facts":{"gpus":"many"}}', 422, "not a number"),
        ("/v1/rules/explain", '{"facts":{},"at":"soon"}', 400, "ISO 8601"),
    ],
)
def test_what_is_unclear_is_refused(site: Site, path: str, body: str, status: int, words: str) -> None:
    """With a status that says whose fault it is, and nothing kept."""
    before = site.get("/v1/approvals").body, site.get("/v1/rules/decisions").body
    answer = post(site, path, body)
    assert (answer.status, words in answer.json["detail"]) == (status, True), answer.json
    assert (site.get("/v1/approvals").body, site.get("/v1/rules/decisions").body) == before


def test_a_raise_is_asked_for_and_ends(site: Site) -> None:
    """What holds for a time says so, from when until when."""
    to = iso(WallClock().now_us() + US_PER_DAY)
    body = f'{{"kind":"budget","owner":"vision","amount":"100","currency":"EUR","to":"{to}","by":"ann","why":"x"}}'
    number = post(site, "/v1/approvals", body).json["approval"]["approval"]
    found = post(site, f"/v1/approvals/{number}/approval", '{"by":"eve"}').json["approval"]
    assert (found["in_force"], found["to"], found["needs"]) == (True, to, "")
    ended = post(site, f"/v1/approvals/{number}/withdrawal", '{"by":"ann","why":"done"}').json["approval"]
    assert (ended["state"], ended["in_force"], ended["to"] < to) == ("granted", False, True)
