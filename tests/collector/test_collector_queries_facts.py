"""Facts and status: what is stored, under the names that people know."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from collector import queries
from collector.audit.events import Act
from collector.audit.log import append
from collector.ledger.store import Ledger
from collector.queries.audit import audit
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE
from gpuledger.model import Event
from tests.collector.batches import START_US, frame, minutes, records
from tests.collector.fleet import NOW_US, open_ledger, prices

PERIOD = Period(START_US, START_US + US_PER_HOUR, "an hour")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Return a ledger of an hour of one held and one free device, with two events and one refused frame."""
    found = open_ledger(tmp_path)
    events = [Event(START_US, "xid", "XID 79", severity="error", device="GPU-0000", details={"xid": "79"})]
    events.append(Event(START_US + 1, "device_added", "hello"))
    found.ingest([minutes(0, length=60, events=events), b"nonsense"])
    prices(found, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.49"')
    rate_dirty(found)
    return found


def test_devices_are_listed_with_their_lives(ledger: Ledger) -> None:
    """Each device once, from its first record on, open while it can be held."""
    ledger.ingest([frame(1, records("GPU-0000", START_US + US_PER_HOUR, START_US + US_PER_HOUR + 1),
                         events=[Event(START_US + US_PER_HOUR + 1, "device_retired", "gone", device="GPU-0000")])])  # fmt: skip
    found = [(row.key, row.node, row.first_seen, row.until) for row in queries.devices(ledger).rows]
    assert found == [
        ("GPU-0000", "node-a", iso(START_US), iso(START_US + US_PER_HOUR + 1)),
        ("GPU-0001", "node-a", iso(START_US), None),
    ]


def test_reading_is_an_act_and_no_change(ledger: Ledger) -> None:
    """Answers that are kept until something changes are kept while others read; an import ends that."""
    before = queries.status(ledger)
    with ledger.transaction() as session:
        append(session, NOW_US, [Act("access.read", "ann"), Act("access.refuse", "bob")])
    after = queries.status(ledger)
    assert (after.acts, after.changes) == (before.acts + 2, before.changes)
    prices(ledger, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.50"')
    assert queries.status(ledger).changes == queries.status(ledger).acts == after.acts + 1


def test_what_was_done_does_not_drown_in_what_was_read(ledger: Ledger) -> None:
    """An act after a minus is left out, before the limit counts; a name alone leaves out the others."""
    with ledger.transaction() as session:
        append(session, NOW_US, [Act("access.refuse", "bob"), *(Act("access.read", "ann") for _ in range(5))])
    newest = audit(ledger, None, act="-access.read", actor="", limit=1).rows
    assert [(row.act, row.actor) for row in newest] == [("access.refuse", "bob")]
    named = audit(ledger, None, act="access.read", actor="", limit=9).rows
    assert {row.act for row in named} == {"access.read"}
    assert len(audit(ledger, None, act="", actor="", limit=3).rows) == 3


def test_events_come_newest_first_and_say_when_there_are_more(ledger: Ledger) -> None:
    """A limit leaves out the oldest, and the answer says so."""
    assert [(row.kind, row.details) for row in queries.events(ledger).rows] == [
        ("device_added", {}),
        ("xid", {"xid": "79"}),
    ]
    limited = queries.events(ledger, PERIOD, limit=1)
    assert (len(limited.rows), limited.more) == (1, True)


def test_usage_is_one_device_s_records_in_time(ledger: Ledger) -> None:
    """Records carry the names of states and methods, and their evidence."""
    answer = queries.usage(ledger, PERIOD, device="GPU-0000", limit=2)
    assert [row.start for row in answer.rows] == [iso(START_US), iso(START_US + US_PER_MINUTE)]
    assert (answer.rows[0].state, answer.rows[0].holder, answer.rows[0].confidence) == (
        "active",
        "pod:uid-1/c",
        "measured",
    )
    assert answer.more


def test_charges_pin_what_priced_them(ledger: Ledger) -> None:
    """A charge names its device, holder, state, price version and entry, and its exact cost."""
    [held, free] = queries.charges(ledger, PERIOD).rows
    assert (held.device, held.state, held.cost, held.rate) == ("GPU-0000", "active", "2.49", "2.49")
    assert (held.price_version, held.price_entry, held.active_cost) == (1, 0, "0.83")
    assert (free.device, free.holder, free.state, free.reason) == ("GPU-0001", None, "idle", "free")


def test_refused_frames_are_listed_with_their_reason(ledger: Ledger) -> None:
    """What could not be taken is kept and shown."""
    [row] = queries.quarantine(ledger).rows
    assert (row.code, row.size_bytes, row.received) == ("not_a_batch", 8, iso(NOW_US))


def test_status_counts_what_there_is(ledger: Ledger) -> None:
    """How far the ledger is known, what it holds, and who feeds it."""
    found = queries.status(ledger)
    assert (found.first_usage, found.watermark) == (iso(START_US), iso(START_US + US_PER_HOUR))
    assert (found.devices, found.holders, found.batches, found.usage_rows, found.charges) == (2, 1, 1, 120, 2)
    assert (found.quarantined, found.pending_hours, found.currency, found.price_version) == (1, 0, "EUR", 1)
    assert found.owner_version is None
    [agent] = found.agents
    assert (agent.agent, agent.sequence, agent.known_until) == ("node-a", 0, iso(START_US + US_PER_HOUR))


def test_every_question_can_be_asked_of_an_empty_ledger(tmp_path: Path) -> None:
    """An answer without rows is an answer, and becomes JSON."""
    with open_ledger(tmp_path) as empty:
        answers = [
            queries.chargeback(empty, PERIOD), queries.utilization(empty, PERIOD), queries.idle(empty, PERIOD),
            queries.timeline(empty, PERIOD), queries.reconcile(empty, PERIOD), queries.devices(empty),
            queries.events(empty), queries.usage(empty, PERIOD), queries.charges(empty, PERIOD), queries.prices(empty),
            queries.owners(empty), queries.quarantine(empty), queries.status(empty),
        ]  # fmt: skip
    assert all(getattr(answer, "rows", []) == [] for answer in answers)
    assert msgspec.json.decode(msgspec.json.encode(answers[0]))["period"]["from"] == iso(START_US)
