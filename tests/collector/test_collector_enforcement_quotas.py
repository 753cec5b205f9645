"""Quotas decide about work that is to start: in words, with what was allowed since on top, and as facts for rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.enforcement.by_budgets import budget_percents
from collector.enforcement.by_quotas import quota_limits, quota_percents
from collector.enforcement.figures import Promised
from collector.enforcement.gate import ALLOWED, Result, Ruling
from collector.governance.budget_positions import placed_budgets
from collector.governance.quota_files import parse_quota_book
from collector.governance.quota_positions import QuotaStand
from gpuledger.accounting.ownership import Owner
from gpuledger.accounting.quotas import LaneStand
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.clock import WallClock
from gpuledger.zones import find_zone
from tests.collector.batches import device, frame, holder, records
from tests.collector.reviews import container, pod, pod_spec, review
from tests.collector.test_collector_api import Site
from tests.collector.test_collector_enforcement_api import ready, site_with, told
from tests.collector.test_collector_governance_budgets import Site as Ledgered
from tests.collector.test_collector_governance_budgets import book
from tests.collector.test_collector_governance_quotas import entry
from tests.waiting import until

H100 = "NVIDIA H100 80GB HBM3"
VISION, SPEECH, RUN = (Owner("acme", *each, "") for each in (("ml", "vision"), ("ml", "speech"), ("ops", "run")))
NONE: Promised = {}


def stand(*entries: str, **used: int) -> QuotaStand:
    """Return where quotas stand when teams hold so many GPUs of the one model, or so many GPU-hours."""
    found = parse_quota_book("".join(entries).encode(), "toml", "q.toml", find_zone("UTC"))
    lanes = dict.fromkeys(each.lane for each in found)
    unit = {lane: GPU_PARTS * (US_PER_HOUR if lane.period else 1) for lane in lanes}
    paths = {"vision": "acme/ml/vision", "speech": "acme/ml/speech", "nobody": ""}
    return QuotaStand(
        1,
        lanes=tuple(
            LaneStand(
                lane,
                [each for each in found if each.lane == lane],
                {},
                {paths[name]: amount * unit[lane] for name, amount in used.items()},
            )
            for lane in lanes
        ),
    )


def ask(now: QuotaStand, owner: Owner | None, gpus: float, model: str = H100, promised: Promised = NONE) -> Ruling:
    parts = round(gpus * GPU_PARTS) + (promised.get((owner, model), 0) if owner else 0)
    return quota_limits(now)(owner, model, parts, 0, promised)


def test_what_does_not_fit_is_held_in_clear_words() -> None:
    """The quota that is full is named, with what would fit; what fits starts, and so does what no quota counts."""
    now = stand(entry("acme/ml", "8"), entry("acme/ml/vision", "4", model='"NVIDIA H100*"'), vision=3, speech=2)
    assert ask(now, VISION, 1) == ALLOWED
    assert ask(now, VISION, 2) == Ruling(
        Result.HOLD, "quota", ("3 of 4 GPUs are held by acme/ml/vision (NVIDIA H100*), 1 more fit",)
    )
    assert ask(now, SPEECH, 4) == Ruling(Result.HOLD, "quota", ("5 of 8 GPUs are held by acme/ml, 3 more fit",))
    assert ask(now, VISION, 2, "NVIDIA L4") == ALLOWED
    assert ask(now, RUN, 100) == ask(now, None, 100) == ALLOWED
    full = stand(entry("*", "5"), nobody=5)
    assert ask(full, None, 1 / 7).reasons == ("5 of 5 GPUs are held by everybody, no more fit",)


def test_slices_count_as_what_they_are() -> None:
    """Two sevenths and five sevenths fill a card; a whole one more does not fit."""
    now = stand(entry("acme/ml/vision", "1"))
    promised = {(VISION, H100): GPU_PARTS * 2 // 7}
    assert ask(now, VISION, 5 / 7, promised=promised) == ALLOWED
    assert ask(now, VISION, 1, promised=promised).reasons == ("2/7 of 1 GPUs are held by acme/ml/vision, 5/7 more fit",)


def test_what_was_allowed_since_counts_for_everybody() -> None:
    """A burst of one team takes what its sibling would borrow, and what their department has."""
    book_ = (entry("acme/ml", "8"), entry("acme/ml/vision", "4", borrow='"all"'), entry("acme/ml/speech", "4"))
    now = stand(*book_, vision=4)
    assert ask(now, VISION, 4) == ALLOWED, "it borrows what speech leaves"
    burst = {(SPEECH._replace(project="asr"), H100): 3 * GPU_PARTS}
    assert ask(now, VISION, 1, promised=burst) == ALLOWED
    assert ask(now, VISION, 2, promised=burst).result is Result.HOLD
    mine = {(VISION, H100): 4 * GPU_PARTS}
    assert ask(now, SPEECH, 1, promised=mine).reasons == ("8 of 8 GPUs are held by acme/ml, no more fit",)


def test_stages_hold_and_block_before_a_quota_is_full() -> None:
    """Of GPUs by what would be held, of GPU-hours by what is used; a stage of a department is one of its teams."""
    stages = '[{ at = 50, do = "hold" }, { at = 75, do = "block" }, { at = 10 }]'
    now = stand(entry("acme/ml", "8", stages=stages), vision=3)
    assert ask(now, SPEECH, 1) == ALLOWED
    assert ask(now, SPEECH, 2).result is Result.HOLD
    assert ask(now, VISION, 4) == Ruling(Result.REFUSE, "quota", ("3 of 8 GPUs are held by acme/ml: block at 75 %",))
    hours = entry("acme/ml", gpu_hours='"10"', period='"month"', stages='[{ at = 50, do = "block" }]')
    assert ask(stand(hours, vision=4), SPEECH, 64) == ALLOWED
    assert ask(stand(hours, vision=5), SPEECH, 1).reasons == ("5 of 10 GPU-hours are used by acme/ml: block at 50 %",)
    spent = entry("acme/ml/vision", gpu_hours='"10"', period='"month"')
    assert ask(stand(spent, vision=10), VISION, 1) == Ruling(
        Result.HOLD, "quota", ("10 of 10 GPU-hours are used by acme/ml/vision, and none are left to borrow",)
    )


def test_work_that_names_no_model_is_under_quotas_of_all_models() -> None:
    """What it will get nobody knows yet."""
    now = stand(entry("acme/ml", "8"), entry("acme/ml", "1", model='"NVIDIA H100*"'), vision=4)
    assert ask(now, VISION, 4, "") == ALLOWED
    assert ask(now, VISION, 5, "").result is Result.HOLD


def test_rules_know_how_full_the_fullest_quota_is() -> None:
    """Of all that the work would count in; with what was allowed since. Where there is none the fact is unknown."""
    now = stand(entry("acme/ml", "8"), entry("acme/ml/vision", "4", model='"NVIDIA H100*"'), vision=3, speech=4)
    assert {str(value) for value in quota_percents(now, VISION, H100, NONE).values()} == {"87.500"}
    assert (
        str(quota_percents(now, SPEECH, "NVIDIA L4", {(VISION, "NVIDIA L4"): GPU_PARTS})["quota_percent"]) == "100.000"
    )
    assert quota_percents(now, RUN, H100, NONE) == quota_percents(QuotaStand(), VISION, H100, NONE) == {}
    assert quota_percents(stand(entry("acme/ml", "0")), VISION, H100, NONE) == {}, "of nothing there is no percentage"


def test_rules_know_how_full_the_fullest_budget_is(tmp_path: Path) -> None:
    """Of those that the owner's spend counts in; a period that is over is no budget of now."""
    site = Ledgered(tmp_path)
    site.hold(1, 1, 0, 4)
    site.give(book(("acme", "100"), ("acme/ml/vision", "20")))
    with site.ledger.snapshot() as session:
        placed = placed_budgets(session, site.ledger.calendar, site.clock.us)
    site.ledger.close()
    assert str(budget_percents(placed, VISION)["budget_percent"]) == "50.000"
    assert str(budget_percents(placed, RUN)["budget_percent"]) == "10.000"
    assert budget_percents([each._replace(current=False) for each in placed], VISION) == {}


OWNERS = b'[[owner]]\norganisation = "acme"\ndepartment = "research"\nteam = "nlp"\nmatch.namespace = "nlp"\n'
RULES = b"""
[[rule]]
name = "nearly full"
filter = { kind = "workload", namespace = "nlp" }
when.quota_percent = { over = 90 }
action = "refuse"
because = "the rest is for the night"
"""


def gpus(count: int) -> object:
    return pod_spec(container(gpus=str(count)))


@pytest.mark.parametrize("mode", ["enforce", "shadow"])
def test_a_scheduler_is_told_by_a_running_collector(tmp_path: Path, mode: str) -> None:
    """From the file to kubectl's message: GPUs that are held, a burst that fills the rest, and a rule that asks how full."""
    now_us = WallClock().now_us() // US_PER_HOUR * US_PER_HOUR
    with site_with(tmp_path, mode=mode) as url:
        site = Site(url)
        usage = records("GPU-0001", now_us - US_PER_HOUR, now_us, "pod:uid-1/c")
        batch = frame(0, usage, devices=[device(1)], holders=[holder(1, namespace="nlp")])
        assert site.ask("POST", "/v1/batches", batch).status == 200
        post(site, "owners", OWNERS)
        post(site, "quotas", entry("acme/research/nlp", "8").encode())
        bad = site.ask("POST", "/v1/quotas", b"[[quota]]\nowner = 1\n", content_type="application/toml")
        assert (bad.status, bad.json["code"], bool(bad.json["hint"])) == (422, "quota_book", True)
        ready(site)
        numbers = iter(range(1_000))
        seen = until(
            lambda: (
                (found := told(site, review(pod(gpus(9)), uid=f"big{next(numbers)}")))
                and ("status" in found or "warnings" in found)
                and found
            ),
            "the quota to be read",
        )
        words = "Pod nlp/train asks for 9 GPUs for acme/research/nlp: held: 1 of 8 GPUs are held by acme/research/nlp, 7 more fit"
        said = seen["status"]["message"] if mode == "enforce" else " ".join(seen["warnings"])
        assert words.replace("Pod nlp/train", "") in said
        assert seen["allowed"] is (mode == "shadow")
        if mode == "shadow":
            return
        assert told(site, review(pod(gpus(7)), uid="fits"))["allowed"]
        assert "8 of 8 GPUs" in told(site, review(pod(gpus(1)), uid="more"))["status"]["message"]
        post(site, "rules", RULES)
        until(
            lambda: "for the night" in told(site, review(pod(gpus(1)), uid=f"r{next(numbers)}"))["status"]["message"],
            "the rule to be read",
        )
        [row] = site.get("/v1/quotas/status").json["rows"]
        assert (row["used"], row["room"], row["percent"]) == (1.0, 7.0, "12.5")
        manifests = site.get("/v1/quotas/manifests?target=resource-quota").json
        assert (manifests["objects"], 'requests.nvidia.com/gpu: "8"' in manifests["text"]) == (1, True)
        assert site.get("/v1/quotas/book", accept="text/csv").body.startswith(b"entry,owner,model,of,period,amount")


def post(site: Site, kind: str, body: bytes) -> None:
    answer = site.ask("POST", f"/v1/{kind}", body, content_type="application/toml")
    assert answer.status == 200, answer.body
