"""Quotas on a ledger: the book, GPUs held now and GPU-hours used, loans between owners, raises, stages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.governance.notices import load_notices
from collector.governance.quota_books import import_quotas
from collector.governance.quota_files import parse_quota_book
from collector.governance.quota_stages import QuotaWatch
from collector.governance.requests import approve, request_approval, withdraw
from collector.governance.rulebooks import import_rules
from collector.governance.wanted import Asked
from collector.queries.audit import audit
from collector.queries.quota_standing import (
    QuotaStandRow,
    evaluate_quotas,
    quota_book,
    quota_standing,
    try_quotas,
)
from collector.rating import rate_dirty
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import GPU_PARTS, US_PER_DAY, US_PER_MINUTE
from gpuledger.errors import QuotaBookError
from gpuledger.model import Device
from gpuledger.zones import find_zone
from tests.collector.batches import START_US, frame, holder, records
from tests.collector.fleet import usage_frame
from tests.collector.test_collector_governance_budgets import HOUR, Site

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "quotas.toml"
UTC = find_zone("UTC")


def entry(owner: str, amount: str = "", **more: str) -> str:
    """Return one entry: devices unless it says otherwise; values are written as they are."""
    values = {"owner": f'"{owner}"', **({"devices": f'"{amount}"'} if amount else {}), **more}
    return "[[quota]]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    yield found
    found.ledger.close()


def give(site: Site, *entries: str) -> None:
    content = "".join(entries).encode()
    import_quotas(site.ledger, content, "toml", source="quotas.toml", imported_us=site.clock.us)


def row(site: Site, owner: str, of: str = "devices") -> QuotaStandRow:
    [found] = [each for each in quota_standing(site.ledger).rows if (each.owner, each.of) == (owner, of)]
    return found


def test_gpus_held_now_count_for_all_that_they_are_beneath(site: Site) -> None:
    """What was held before is not; a team's GPUs are its department's, and everybody's are everything's."""
    site.hold(1, 1, 0, 4)
    site.hold(2, 2, 2, 4)
    site.hold(3, 1, 0, 2)  # given back two hours ago
    give(site, *(entry(owner, amount) for owner, amount in (("*", "10"), ("acme/ml", "6"), ("acme/ml/vision", "2"))))
    used = {each.owner: (each.used, each.percent, each.room) for each in quota_standing(site.ledger).rows}
    assert used == {"*": (2.0, "20.0", 4.0), "acme/ml": (2.0, "33.3", 3.0), "acme/ml/vision": (1.0, "50.0", 1.0)}
    assert row(site, "acme/ml/vision").peak == 2.0
    assert quota_standing(site.ledger).as_of == iso(START_US + 4 * HOUR)


def test_a_shared_gpu_and_a_slice_count_as_what_they_are(site: Site) -> None:
    """Three holders of one GPU have thirds of it, and two sevenths of a card are two sevenths: exactly."""
    start, end = START_US, START_US + HOUR
    third = (end - start) // 180  # of each minute
    by_holder = [
        records("GPU-0001", start, end, f"pod:uid-{who}/c", held_us=third, active_us=third)
        for who in (1, 2, 4)  # 1 and 4 are of vision
    ]
    shared = [record for minute in zip(*by_holder, strict=True) for record in minute]
    mig = Device(
        key="MIG-1", kind="mig", model="NVIDIA A100-SXM4-40GB", parts=240, board="GPU-0009", mig_profile="2g.10gb"
    )
    whole = Device(key="GPU-0001", kind="gpu", model="NVIDIA H100 80GB HBM3")
    usage = [*shared, *records("MIG-1", start, end, "pod:uid-1/c")]
    holders = [holder(who) for who in (1, 2, 4)]
    found = site.ledger.ingest([usage_frame(0, usage, [whole, mig], holders)])
    assert [each.code for each in found] == [""]
    rate_dirty(site.ledger)
    give(site, entry("acme/ml/vision", "2"), entry("acme/ml/speech", "1/3"), entry("acme", "1", model='"NVIDIA A100*"'))
    assert row(site, "acme/ml/vision").used == pytest.approx(2 / 3 + 2 / 7, abs=1e-6)
    speech = row(site, "acme/ml/speech")
    assert (speech.percent, speech.room) == ("100.0", 0.0)
    assert row(site, "acme").used == pytest.approx(2 / 7, abs=1e-6)


def test_what_is_not_heard_of_any_more_is_named_and_not_counted(site: Site) -> None:
    """A node falls silent: its GPUs are not free and not held, they are not observed; an hour later not even that."""
    site.hold(1, 1, 0, 2)
    usage = records("GPU-0002", START_US, START_US + 2 * HOUR + 30 * US_PER_MINUTE, "pod:uid-2/c")
    site.ledger.ingest([frame(0, usage, agent="node-b")])
    rate_dirty(site.ledger)
    give(site, entry("acme/ml/vision", "4"), entry("acme/ml/speech", "4"))
    assert (row(site, "acme/ml/vision").used, row(site, "acme/ml/vision").unobserved) == (0.0, 1.0)
    assert row(site, "acme/ml/speech").used == 1.0
    usage = records("GPU-0002", START_US + 2 * HOUR + 30 * US_PER_MINUTE, START_US + 4 * HOUR, "pod:uid-2/c")
    site.ledger.ingest([frame(1, usage, agent="node-b")])
    rate_dirty(site.ledger)
    assert (row(site, "acme/ml/vision").used, row(site, "acme/ml/vision").unobserved) == (0.0, 0.0)


def test_gpu_hours_are_those_of_the_running_period(site: Site) -> None:
    """By the charges; the next month begins with none."""
    site.hold(1, 1, 0, 4)
    site.hold(2, 2, 0, 2)
    give(site, *(entry(owner, gpu_hours='"8"', period='"month"') for owner in ("acme/ml/vision", "acme/ml/speech")))
    assert [row(site, f"acme/ml/{team}", "gpu_hours").used for team in ("vision", "speech")] == [4.0, 2.0]
    assert row(site, "acme/ml/vision", "gpu_hours").percent == "50.0"
    site.clock.us += 31 * US_PER_DAY
    assert row(site, "acme/ml/vision", "gpu_hours").used == 0.0


def test_what_one_leaves_another_borrows_and_both_say_so(site: Site) -> None:
    """What is borrowed is lent; beyond what anybody lends it is neither; the department is not over what it has."""
    for number in range(1, 6):
        site.hold(number, 1, 0, 2)
    site.hold(6, 2, 0, 2)
    give(site, entry("acme/ml", "6"), entry("acme/ml/vision", "2", borrow='"2"'), entry("acme/ml/speech", "4"))
    vision, speech, ml = (row(site, owner) for owner in ("acme/ml/vision", "acme/ml/speech", "acme/ml"))
    assert (vision.used, vision.borrowed, vision.beyond, vision.room) == (5.0, 2.0, 1.0, 0.0)
    assert (speech.used, speech.lent, speech.room) == (1.0, 2.0, 0.0)
    assert (ml.used, ml.borrowed, ml.percent) == (6.0, 0.0, "100.0")
    give(
        site,
        entry("acme/ml", "6"),
        entry("acme/ml/vision", "2", borrow='"all"'),
        entry("acme/ml/speech", "4", lend='"1"'),
    )
    assert (row(site, "acme/ml/vision").borrowed, row(site, "acme/ml/speech").lent) == (1.0, 1.0)
    assert row(site, "acme/ml/speech").room == 2.0, "it keeps three of its own, whatever others took"


def test_an_approved_raise_counts_while_it_is_in_force(site: Site) -> None:
    """Of the owner and of all that it is a part of; one that no quota counts is told, and raises nothing."""
    import_rules(site.ledger, _RULES, "toml", source="rules.toml", imported_us=site.clock.us)
    site.hold(1, 1, 0, 2)
    give(
        site, entry("acme/ml", "4"), entry("acme/ml/vision", "1", model='"NVIDIA H100*"'), entry("acme/ml/vision", "2")
    )
    until = iso(site.clock.us + 5 * US_PER_DAY)
    asked = {"kind": "quota", "owner": "acme/ml/vision", "to": until, "by": "ann", "why": "the deadline"}
    number = request_approval(site.ledger, Asked(**asked, gpus="2"))
    approve(site.ledger, number, by="bob")
    found = {(each.owner, each.model): (each.raised, each.room) for each in quota_standing(site.ledger).rows}
    assert found == {
        ("acme/ml", "*"): (2.0, 2.0),
        ("acme/ml/vision", "NVIDIA H100*"): (0.0, 0.0),
        ("acme/ml/vision", "*"): (2.0, 3.0),
    }
    withdraw(site.ledger, number, by="ann", why="done")
    assert row(site, "acme/ml").raised == 0.0
    lost = [
        request_approval(site.ledger, Asked(**asked, gpus="1", pool="train")),
        request_approval(site.ledger, Asked(**asked, gpu_hours="9")),
    ]
    for each in lost:
        approve(site.ledger, each, by="bob")
    notes = quota_standing(site.ledger).notes
    assert [note.partition(" raises no quota")[0] for note in notes] == [f"approval {each}" for each in lost]
    assert all(each.raised == 0.0 for each in quota_standing(site.ledger).rows)


_RULES = b"""
[[rule]]
name = "quota"
filter.kind = "quota"
action = "approval"
approvals = [{ roles = ["admin"] }]
[[approvers]]
name = "bob"
roles = ["admin"]
"""


def test_a_stage_is_recorded_once_a_period(site: Site) -> None:
    """With its audit event and notice, under a number that no budget's crossing has; again in the next month."""
    stages = '[{ at = 50, tell = ["ann"] }, { at = 100, do = "hold" }]'
    give(site, entry("acme/ml/vision", "2", stages=stages))
    assert evaluate_quotas(site.ledger).rows == []
    site.hold(1, 1, 0, 2)
    assert [each.stage for each in evaluate_quotas(site.ledger).rows] == ["notify at 50 %"]
    assert evaluate_quotas(site.ledger).rows == []
    site.hold(2, 1, 0, 2)
    watch = QuotaWatch(site.ledger)
    assert [each.stage for each in watch.look()] == ["hold at 100 %"]
    assert watch.stand.at_us == site.clock.us
    [event, first] = audit(site.ledger, None, act="quota.stage", actor="", limit=10).rows
    assert (event.subject, first.details["why"]) == (
        "acme/ml/vision * devices",
        "1 of 2 GPUs are held by acme/ml/vision in 2026-05",
    )
    with site.ledger.snapshot() as session:
        [notice] = load_notices(session)
    assert (notice.target, notice.title) == ("ann", "Quota of acme/ml/vision for 2026-05: 50 % of it is used")
    site.clock.us += 31 * US_PER_DAY
    assert len(evaluate_quotas(site.ledger).rows) == 2


def test_a_trial_stores_nothing_and_a_version_is_kept(site: Site) -> None:
    """The file as it is shown is the file that was given; the same again is no new version."""
    site.hold(1, 1, 0, 2)
    content = entry("acme/ml/vison", ["3", "1/2"][1], model='"NVIDIA B200"').encode()
    tried = try_quotas(site.ledger, content, "toml", source="q.toml")
    assert (tried.version, len(tried.rows), len(tried.warnings)) == (1, 1, 2)
    assert quota_book(site.ledger).version is None
    for changed in (True, False):
        report = import_quotas(site.ledger, content, "toml", source="q.toml", imported_us=1)
        assert (report.version, report.changed) == (1, changed)
    [found] = quota_book(site.ledger).rows
    assert (found.amount, found.borrow, found.lend) == ("1/2", "0", "all")
    assert len(audit(site.ledger, None, act="quota.import", actor="", limit=10).rows) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (entry("acme"), "neither devices nor gpu_hours"),
        (entry("acme", "8", gpu_hours='"1"'), "both given"),
        (entry("acme", "8", period='"month"'), "no period"),
        (entry("acme", gpu_hours='"8"'), "period"),
        (entry("acme", gpu_hours='"8"', period='"fortnight"'), "period"),
        (entry("acme", gpu_hours="8.5", period='"month"'), "exact"),
        (entry("acme", devices="true"), "counted exactly"),
        (entry("acme", "1/11"), "counted exactly"),
        (entry("acme", "-1"), "counted exactly"),
        (entry("acme", devices="[]"), "counted exactly"),
        (entry("acme/a/b/c", "8"), "below teams"),
        (entry("acme//b", "8"), "not a path"),
        (entry("acme", "8", lends="true"), 'unknown key "lends"'),
        (entry("acme", "8", borrow='"some"'), "counted exactly"),
        (entry("acme", "8", borrow='"2"', stages='[{ at = 100, do = "hold" }]'), "before it borrows"),
        (entry("acme", "8", stages="[{ at = 0 }]"), "at is not a per cent"),
        (entry("acme", "8", stages="[{ at = 80 }, { at = 80 }]"), "twice"),
        (entry("acme", "8", stages='[{ at = 80, do = "stop" }]'), '"stop" is not known'),
        (entry("acme", "8", stages='[{ at = 80, tell = ["https://u:p@x"] }]'), "name 1 is not one"),
        (entry("acme", "8") + entry("acme", "9"), "both the quota of acme"),
        (entry("acme", "8") + entry("acme/a", "5") + entry("acme/b", "4"), "more is given beneath acme"),
        ("[[quota]]\n", "owner"),
        ("", "no quota in it"),
    ],
)
def test_a_bad_book_is_refused_with_the_next_step(text: str, said: str) -> None:
    """Whatever is wrong, the entry is named; what may be an address is not repeated."""
    with pytest.raises(QuotaBookError, match=said) as caught:
        parse_quota_book(text.encode(), "toml", "q.toml", UTC)
    assert caught.value.hint
    assert "u:p" not in caught.value.message


def test_entries_may_follow_each_other_and_give_in_turn(site: Site) -> None:
    """What is given beneath a node is added up as it holds at a time; models and periods are apart."""
    now = iso(START_US)
    text = (
        entry("acme", "8") + entry("acme/a", "6", to=now) + entry("acme/b", "6", **{"from": now})
        + entry("acme/b", "9", model='"NVIDIA H100*"') + entry("acme/b", gpu_hours='"9"', period='"month"')
    )  # fmt: skip
    assert len(parse_quota_book(text.encode(), "toml", "q.toml", UTC)) == 5
    quotas = parse_quota_book(EXAMPLE.read_bytes(), "toml", "quotas.toml", UTC)
    assert {each.owns % GPU_PARTS for each in quotas if not each.lane.period} >= {0}
