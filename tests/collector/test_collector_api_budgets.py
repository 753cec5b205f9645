"""Budgets over HTTP and into admission: import, trial, standing, evaluation, metrics, and what a scheduler is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from collector.app import running
from collector.enforcement.by_budgets import limits_of
from collector.enforcement.gate import Result
from gpuledger.accounting.admitting import Limit, Standing
from gpuledger.accounting.ownership import Owner
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.clock import WallClock
from tests.collector.batches import frame, records
from tests.collector.test_collector_api import Site, settings

NOW_US = WallClock().now_us() // US_PER_HOUR * US_PER_HOUR
PERIOD = "2020-01-01..2999-01-01"
BOOK = f"""
[[budget]]
owner = "vision"
period = "{PERIOD}"
currency = "EUR"
amount = "6"
stages = [{{ at = 80, tell = ["ann"] }}, {{ at = 100, do = "hold" }}]
""".encode()
PRICES = b'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.40"\n'
OWNERS = b'[[owner]]\nteam = "vision"\nmatch.namespace = "team-1"\n'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run a collector with two hours of a GPU that vision held."""
    with running(settings(tmp_path_factory.mktemp("budgets"))) as url:
        found = Site(url)
        usage = records("GPU-0001", NOW_US - 3 * US_PER_HOUR, NOW_US - US_PER_HOUR, "pod:uid-1/c")
        assert found.ask("POST", "/v1/batches", frame(0, usage)).status == 200
        for kind, body in (("prices", PRICES), ("owners", OWNERS)):
            assert found.ask("POST", f"/v1/{kind}", body, content_type="application/toml").status == 200
        yield found


def post(site: Site, path: str, body: bytes, media_type: str = "application/toml") -> tuple[int, dict[str, object]]:
    answer = site.ask("POST", path, body, content_type=media_type)
    return answer.status, answer.json


def test_a_budget_from_its_file_to_the_alert(site: Site) -> None:
    """A trial stores nothing; after the import it stands where the bill does, and a stage is recorded once."""
    status, tried = post(site, "/v1/budgets/trial?source=b.toml", BOOK)
    assert (status, tried["rows"][0]["new_stages"]) == (200, ["notify at 80 % of actual"])  # type: ignore[index]
    assert site.get("/v1/budgets").json["rows"] == []
    assert b"gpuledger_budget_spent{" not in site.get("/metrics").body
    assert post(site, "/v1/budgets", BOOK) == (200, {"version": 1, "entries": 1, "changed": True, "warnings": []})
    [row] = site.get("/v1/budgets").json["rows"]
    assert (row["owner"], row["limit"], row["raise"], row["spent"], row["percent"]) == (
        "vision",
        "6.00",
        "0.00",
        "4.80",
        "80.0",
    )
    assert (row["stage"], row["period"], row["committed"]) == ("notify at 80 % of actual", PERIOD, row["spent"])
    assert site.get("/v1/budgets", accept="text/csv").body.startswith(b"owner,period,from,to,currency")
    status, _ = post(site, "/v1/budgets/evaluation", b"{}", "application/json")
    assert status == 200
    again = post(site, "/v1/budgets/evaluation", b"{}", "application/json")
    assert again == (200, {"rows": []})
    [notice] = site.get("/v1/budgets/notices").json["rows"]
    assert (notice["to"], notice["key"]) == ("ann", "1-ann")
    assert [each["entry"] for each in site.get("/v1/budgets/book").json["rows"]] == [1]


def test_a_bad_book_is_a_problem_with_a_hint(site: Site) -> None:
    """Nothing of it is kept."""
    status, said = post(site, "/v1/budgets", BOOK.replace(b'"6"', b"6"))
    assert (status, bool(said["hint"])) == (422, True)
    assert site.get("/v1/budgets/book").json["version"] in (None, 1)


def test_a_scheduler_is_told_what_budgets_say() -> None:
    """By owner and what it is a part of; a budget that blocks refuses, with the figures as the reason."""
    limits = limits_of(Standing(1, (Limit("acme", "hold", "held"), Limit("acme/ml/vision", "block", "blocked"))))
    vision, speech = (Owner("acme", "ml", team, "") for team in ("vision", "speech"))
    assert limits(vision, "H100", GPU_PARTS, 0, {})[::2] == (Result.REFUSE, ("blocked",))
    assert limits(speech, "H100", GPU_PARTS // 7, 0, {})[::2] == (Result.HOLD, ("held",))
    assert limits(None, "H100", GPU_PARTS, 0, {}).result is Result.ALLOW
    assert limits_of(Standing())(vision, "", GPU_PARTS, 0, {}).result is Result.ALLOW
