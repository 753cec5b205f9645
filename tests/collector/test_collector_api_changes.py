"""Disputes and entered adjustments over HTTP: made, decided, refused with a hint, and told apart by status."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from collector.api.bodies import parse_request
from collector.api.changes import CHANGES
from collector.api.openapi import PATH
from collector.app import running
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConfigError
from tests.collector.batches import START_US, frame, records
from tests.collector.test_collector_api import OWNERS, PRICES, Answer, Site, settings

HOUR = f"{iso(START_US)}..{iso(START_US + US_PER_HOUR)}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run a collector with two hours of a GPU that vision held, the first of which is closed."""
    with running(settings(tmp_path_factory.mktemp("changes"))) as url:
        found = Site(url)
        usage = records("GPU-0001", START_US, START_US + 2 * US_PER_HOUR, "pod:uid-1/c")
        assert found.ask("POST", "/v1/batches", frame(0, usage)).status == 200
        assert found.ask("POST", "/v1/prices", PRICES, content_type="application/toml").status == 200
        assert found.ask("POST", "/v1/owners", OWNERS, content_type="application/toml").status == 200
        assert found.ask("POST", "/v1/periods", f'{{"period":"{HOUR}","by":"ann"}}'.encode()).status == 200
        yield found


def post(site: Site, path: str, body: str) -> Answer:
    return site.ask("POST", path, body.encode(), content_type="application/json")


def test_a_dispute_is_opened_decided_and_shown(site: Site) -> None:
    """Each answer is the dispute as it stands; deciding it twice is a conflict."""
    opened = post(site, "/v1/disputes", '{"on":"1-1","by":"vic","why":"not ours"}')
    assert (opened.status, opened.json["dispute"]["state"]) == (200, "open")
    number = opened.json["dispute"]["dispute"]
    path = f"/v1/disputes/{number}/resolution"
    decided = post(site, path, '{"decision":"partly","percent":"50","by":"bob","why":"half was"}')
    assert (decided.json["dispute"]["cost"], decided.json["dispute"]["waiting"]) == ("2.40", "1.20")
    again = post(site, path, '{"decision":"upheld","by":"bob","why":"all of it"}')
    assert (again.status, again.json["code"]) == (409, "entry")
    assert "adjustment add" in again.json["hint"]
    assert post(site, f"/v1/disputes/{number}/withdrawal", '{"by":"vic","why":"no"}').status == 409
    assert site.get(f"/v1/dispute?id={number}").json == decided.json
    assert [row["dispute"] for row in site.get("/v1/disputes").json["rows"]] == [number]
    assert site.get("/v1/disputes", accept="text/csv").body.startswith(b"dispute,state,about")
    [line] = site.get("/v1/invoice?number=1").json["rows"]
    assert line["disputed"] == f"{number} partly"
    [credit, debit] = site.get("/v1/adjustments?period=2026-01-01..2027-01-01").json["rows"]
    assert (credit["cost"], debit["cost"], credit["final"]) == ("-1.20", "1.20", False)


def test_an_adjustment_is_entered_and_withdrawn(site: Site) -> None:
    """It waits for a bill, and nothing of it is left."""
    made = post(
        site, "/v1/adjustments", '{"owner":"vision","amount":"-3","currency":"EUR","by":"ann","why":"agreed"}'
    ).json["rows"]
    assert [(row["owner"], row["cost"], row["state"]) for row in made] == [("vision", "-3.00", "waiting")]
    number = made[0]["adjustment"]
    taken = post(site, f"/v1/adjustments/{number}/withdrawal", '{"by":"ann","why":"twice"}')
    assert taken.json["rows"][0]["state"] == "withdrawn"
    assert site.get("/v1/entered").json["rows"] == taken.json["rows"]
    priced = post(site, "/v1/adjustments/price", f'{{"period":"{HOUR}","by":"ann","why":"late"}}')
    assert (priced.status, priced.json["code"]) == (409, "entry")


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v1/disputes", '{"on":"1"}', 400, "by"),
        ("/v1/disputes", '{"on":"1","by":"a","why":"b","extra":1}', 400, "extra"),
        ("/v1/disputes", '{"on":"1","by":"a","by":"b","why":"c"}', 400, '"by" is given twice'),
        ("/v1/disputes", "[]", 400, "not what is asked for"),
        ("/v1/disputes", '{"on":"77","by":"a","why":"b"}', 400, "no invoice 77"),
        ("/v1/disputes/0/resolution", '{"decision":"upheld","by":"a","why":"b"}', 400, "whole number"),
        ("/v1/disputes/x/resolution", '{"decision":"upheld","by":"a","why":"b"}', 400, "whole number"),
        ("/v1/disputes/99/resolution", '{"decision":"upheld","by":"a","why":"b"}', 400, "no dispute 99"),
        ("/v1/adjustments", '{"owner":"vision","amount":"1","currency":"USD","by":"a","why":"b"}', 400, "EUR"),
        ("/v1/adjustments/99/withdrawal", '{"by":"a","why":"b"}', 400, "no adjustment 99"),
    ],
)
def test_what_is_unclear_is_refused(site: Site, path: str, body: str, status: int, words: str) -> None:
    """A problem document says what is wrong and what to send."""
    answer = post(site, path, body)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert words in answer.json["detail"]
    assert answer.json["hint"]


def test_openapi_names_the_number_in_a_path(site: Site) -> None:
    """Each path with a number says so, and each change's example is one that it takes."""
    paths = site.get(PATH).json["paths"]
    for change in CHANGES:
        described = paths[change.path]["post"]
        named = [each["name"] for each in described.get("parameters", []) if each["in"] == "path"]
        assert named == (["number"] if "{number}" in change.path else [])
        assert "{" not in described["operationId"]
        parse_request(change.example.encode(), change.takes, change.example)
    with pytest.raises(ConfigError):
        parse_request(b"\xff", CHANGES[0].takes, CHANGES[0].example)
