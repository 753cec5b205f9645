"""Rules, exceptions and the mode decide about work: enforced, in shadow, and in words that say what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gpuledger.accounting.periods import iso
from gpuledger.clock import VirtualClock
from tests.collector.batches import START_US
from tests.collector.reviews import Object, container, made, pod, pod_spec, review, template
from tests.collector.test_collector_api import Site
from tests.collector.test_collector_enforcement_api import ask, kept, ready, site_with, told
from tests.waiting import until

DAY_US = 86_400_000_000
OWNERS = """[[owner]]
organisation = "acme"
department = "research"
team = "nlp"
match.namespace = "nlp"
[[owner]]
organisation = "acme"
department = "platform"
team = "infra"
match.namespace = "infra"
"""
RULES = """
[[rule]]
name = "no large pods"
filter = { kind = "workload", owner = "acme/research" }
when.gpus = { over = 4 }
action = "refuse"
because = "more than 4 GPUs need a reservation"

[[rule]]
name = "T4 is closed"
mode = "shadow"
filter = { kind = "workload", model = "NVIDIA T4" }
action = "hold"
because = "the T4 nodes are being replaced"

[[rule]]
name = "who asks"
filter.kind = "exception"
action = "approval"
approvals = [{ roles = ["admin"] }]

[[approvers]]
name = "eve"
roles = ["admin"]
"""
LARGE = pod_spec(container(gpus="8"))


def governed(folder: Path, clock: VirtualClock | None = None, **admission: Any) -> Iterator[Site]:
    """Run a collector with owners and rules that its admission has read."""
    with site_with(folder, clock, **admission) as url:
        site = Site(url)
        for path, body in (("/v1/owners", OWNERS), ("/v1/rules", RULES)):
            answer = site.ask("POST", path, body.encode(), content_type="application/toml")
            assert answer.status == 200, answer.body
        ready(site)
        yield site


@pytest.fixture
def enforced(tmp_path: Path) -> Iterator[Site]:
    yield from governed(tmp_path, mode="enforce", refresh_s=1)


@pytest.fixture
def shadowed(tmp_path: Path) -> Iterator[Site]:
    yield from governed(tmp_path)


def large(uid: str, **metadata: Any) -> Object:
    return review(pod(LARGE, labels={"team": "nlp"}, **metadata), uid=uid)


def first(site: Site, uid: str, wanted: Callable[[Object], object]) -> Object:
    """Return the first answer to a large pod that is as wanted, once the rules have been read: every ask is a new one."""
    numbers = count()
    return until(lambda: wanted(found := told(site, large(f"{uid}{next(numbers)}"))) and found, "the answer")


def refused(site: Site, uid: str = "r") -> Object:
    """Return the first response that refuses."""
    return first(site, uid, lambda found: not found["allowed"])


def test_a_refusal_says_what_why_and_what_to_do(enforced: Site) -> None:
    """The message that kubectl prints names the object, the team, the rule and the way on; status is 403."""
    response = refused(enforced)
    assert response["status"] == {
        "code": 403,
        "reason": "Forbidden",
        "message": "gpuledger: Pod nlp/train asks for 8 GPUs for acme/research/nlp: refused: more than 4 GPUs need a "
        'reservation (rule no large pods). Ask for more: "gpuledger approval request", or free GPUs of this team',
    }
    assert told(enforced, review(pod(labels={"team": "nlp"}), uid="small"))["allowed"]
    assert told(enforced, review(pod(LARGE, namespace="infra"), uid="infra"))["allowed"], "the rule is for research"


def test_in_shadow_all_is_allowed_with_a_warning_and_kept(shadowed: Site) -> None:
    """The default: what would have been refused is on record and in the audit log, under the name of who asked."""
    response = first(shadowed, "s", lambda found: "warnings" in found)
    assert response["allowed"]
    assert response["warnings"][0].startswith("gpuledger (shadow, allowed): Pod nlp/train asks for 8 GPUs")
    assert all(len(each) <= 256 for each in response["warnings"])
    [row] = kept(shadowed, result="refuse")
    assert (row["answered"], row["mode"], row["rule"]) == ("allow", "shadow", "no large pods")
    acts = shadowed.get("/v1/audit?act=admission.refuse").json["rows"]
    assert [(act["actor"], act["subject"], act["details"]["answered"]) for act in acts] == [
        ("ana@acme.example", "Pod nlp/train", "allow")
    ]


def test_a_workload_hears_early_of_what_its_pods_will_be_told(enforced: Site) -> None:
    """A Deployment of six pods with one GPU each asks for six."""
    refused(enforced)
    spec = {"replicas": 6, "selector": {}, "template": template(pod_spec(container(gpus="1")), team="nlp")}
    response = told(enforced, review(made("apps", "Deployment", spec), uid="d"))
    assert "Deployment nlp/train asks for 6 GPUs" in response["status"]["message"]


def test_a_rule_in_shadow_warns_in_the_mode_enforce(enforced: Site) -> None:
    """It is said what the rule would do, and the work starts."""
    refused(enforced)
    chosen = pod_spec(container(gpus="1"), nodeSelector={"nvidia.com/gpu.product": "NVIDIA T4"})
    response = told(enforced, review(pod(chosen, labels={"team": "nlp"}), uid="t4"))
    assert response["allowed"]
    assert "gpuledger (shadow):" in response["warnings"][0]
    assert "held: the T4 nodes are being replaced" in response["warnings"][0]


def test_a_controller_that_tries_again_is_one_record(enforced: Site) -> None:
    """Refusals of one series in one second are told by a number, in the ledger and in the audit log."""
    refused(enforced, "first")
    before = sum(row["times"] for row in kept(enforced, result="refuse"))
    for number in range(20):
        ask(enforced, large(f"again{number}", name=f"train-{number}", generateName="train-"))
    rows = until(
        lambda: (rows := kept(enforced, result="refuse")) and sum(row["times"] for row in rows) == before + 20 and rows,
        "all records",
    )
    assert len([row for row in rows if row["uid"].startswith("again")]) < 20


def test_an_approved_exception_lets_work_start_until_it_ends(tmp_path: Path) -> None:
    """It is asked for and approved over HTTP; it covers as many GPUs as it says, and ends by itself."""
    clock = VirtualClock(START_US)
    for site in governed(tmp_path, clock, mode="enforce", stale_after_s=86_400, promise_s=60):
        refused(site)
        wanted = {
            "kind": "exception", "by": "ana", "why": "the release", "owner": "acme/research/nlp", "gpus": "8",
            "to": iso(START_US + DAY_US),
        }  # fmt: skip
        number = post(site, "/v1/approvals", wanted)["approval"]["approval"]
        post(site, f"/v1/approvals/{number}/approval", {"by": "eve", "why": "agreed"})
        response = first(site, "x", lambda found: found["allowed"])
        assert "warnings" not in response
        assert allowed(site, "x")["rule"] == f"approval {number}"
        assert not told(site, large("more"))["allowed"], "8 GPUs were allowed already, and the exception is for 8"
        clock.advance_to(START_US + DAY_US + 1)
        assert not told(site, large("late"))["allowed"]


def allowed(site: Site, uid: str) -> Object:
    """Return the record of an ask of that kind that was allowed, once it is kept."""
    mine: list[Object] = until(
        lambda: [each for each in kept(site, result="allow") if each["uid"].startswith(uid)], "the record"
    )
    return mine[0]


def post(site: Site, path: str, body: Object) -> Object:
    """Send a change; return its answer."""
    answer = site.ask("POST", path, msgspec.json.encode(body), content_type="application/json")
    assert answer.status == 200, answer.body
    found: Object = answer.json
    return found
