"""One transaction's worth of batches: decide which are new and whole, then write them all at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from collector.audit.events import Act
from collector.audit.log import append
from collector.ledger.database import Session
from collector.ledger.dimensions import Place, device_row, evidence_row, holder_row
from collector.ledger.incoming import IncomingUsage
from collector.ledger.intake import BatchResult, Content, Intake, refused, taken
from collector.ledger.lives import Life
from collector.ledger.quarantine import Quarantine, QuarantineLimits
from collector.ledger.sound import Spans
from collector.ledger.stages import staged
from collector.ledger.state import State
from gpuledger import wire
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import WireError
from gpuledger.model import Event

Rows = list[dict[str, Any]]


class Posting:
    """Takes frames one after another against the state in memory; `write` brings what was taken to the database.

    The state runs ahead of the database until `write` has committed: whoever fails to commit must read it again.
    """

    def __init__(
        self, state: State, known: Mapping[wire.BatchId, bytes], received_us: int, limits: QuarantineLimits
    ) -> None:
        self._state = state
        self._digests = dict(known)
        self._received_us = received_us
        self._usage = IncomingUsage()
        self._batches: Rows = []
        self._energy: Rows = []
        self._conditions: Rows = []
        self._events: Rows = []
        self._acts: list[Act] = []
        self._touched: set[Place] = set()
        self._dirty: set[tuple[str, int]] = set()
        self._unused: dict[int, int] = {}
        self._quarantine = Quarantine(state, received_us, limits)

    def add(self, intake: Intake) -> BatchResult:
        """Take one frame, or put it in quarantine; say which."""
        content = intake.content
        if intake.error or content is None:
            return self._refuse(intake, intake.error or WireError("malformed", "the frame holds no batch"))
        batch = content.batch
        digest = wire.digest(intake.frame)
        stored = self._digests.get(batch.id)
        if stored == digest:
            return taken(batch, duplicate=True)
        if stored:
            return self._refuse(intake, _conflict(batch))
        overlap = self._overlap(batch, content.spans)
        if overlap:
            return self._refuse(intake, overlap)
        self._take(content, digest)
        return taken(batch)

    def write(self, session: Session) -> None:
        """Write everything that was taken; call it inside a transaction."""
        self._write_dimensions(session)
        self._write_facts(session)
        append(session, self._received_us, self._acts)
        if self._quarantine:
            self._quarantine.write(session)

    @property
    def empty(self) -> bool:
        """Return whether there is nothing to write."""
        return not self._batches and not self._quarantine

    def _refuse(self, intake: Intake, error: WireError) -> BatchResult:
        self._quarantine.add(intake, error)
        return refused(intake.batch, error)

    def _overlap(self, batch: wire.Batch, spans: Spans) -> WireError | None:
        for index, found in spans.items():
            device = batch.devices[index]
            if device.kind == "pool":
                continue
            place = Place(batch.cluster, batch.node, device.key)
            for version in self._state.versions.get(place, ()):
                for span in found:
                    covered = self._state.covered.overlap(version, *span)
                    if covered:
                        return _overlapping(place, span, covered)
        return None

    def _take(self, content: Content, digest: bytes) -> None:
        batch, columns, spans = content
        state = self._state
        batch_id = state.next_batch_id
        state.next_batch_id += 1
        state.taken.add((batch.agent, batch.boot), batch.sequence, batch.sequence + 1)
        if batch.agent not in state.agents:
            state.agents.add(batch.agent)
            where = {"cluster": batch.cluster, "node": batch.node}
            self._acts.append(Act("agent.new", batch.agent, batch.agent, where))
        self._digests[batch.id] = digest
        self._batches.append(_batch_row(batch, batch_id, digest, self._received_us))
        devices = [self._device(batch, index, spans) for index in range(len(batch.devices))]
        ids = {
            "device": devices,
            "holder": [state.holders.id_of((batch.cluster, holder)) for holder in batch.holders],
            "reason": [state.reasons.id_of(reason) for reason in batch.reasons],
            "evidence": [state.evidence.id_of(evidence) for evidence in batch.evidence],
        }
        self._usage.add(batch_id, columns, ids)
        self._energy += [{"batch_id": batch_id, **msgspec.structs.asdict(entry)} for entry in batch.energy]
        self._conditions += [{"batch_id": batch_id, **msgspec.structs.asdict(entry)} for entry in batch.conditions]
        for event in batch.events:
            self._event(batch, batch_id, event)

    def _device(self, batch: wire.Batch, index: int, spans: Spans) -> int:
        device = batch.devices[index]
        place = Place(batch.cluster, batch.node, device.key)
        device_id = self._state.devices.id_of((place, device))
        self._state.place(device_id, place, pool=device.kind == "pool")
        found = spans.get(index)
        if not found:
            self._unused[device_id] = batch.until_us
            return device_id
        for start_us, end_us in found:
            self._state.covered.add(device_id, start_us, end_us)
            first_us = start_us // US_PER_HOUR * US_PER_HOUR
            self._dirty.update((batch.cluster, hour_us) for hour_us in range(first_us, end_us, US_PER_HOUR))
        if not self._state.goes_on(place, device_id, found[0].start_us):
            self._touched.add(place)
        return device_id

    def _event(self, batch: wire.Batch, batch_id: int, event: Event) -> None:
        self._events.append(
            {
                "batch_id": batch_id,
                "at_us": event.at_us,
                "cluster": batch.cluster,
                "node": batch.node,
                "kind": event.kind,
                "severity": event.severity,
                "device_key": event.device,
                "holder_key": event.holder,
                "message": event.message,
                "details": msgspec.json.encode(event.details).decode(),
            }
        )
        if event.severity == "error":
            said = {"device": event.device, "holder": event.holder, "message": event.message, "at": iso(event.at_us)}
            self._acts.append(Act(f"event.{event.kind}", batch.agent, f"{batch.cluster}/{batch.node}", said))
        if event.kind == "device_retired":
            place = Place(batch.cluster, batch.node, event.device)
            self._state.retired[place].add(event.at_us)
            self._touched.add(place)

    def _write_dimensions(self, session: Session) -> None:
        state = self._state
        devices = [
            {**device_row(key, *value), "first_seen_us": self._unused.get(key, 0), "retired_us": None}
            for key, value in state.devices.take_fresh().items()
        ]
        _insert(session, "devices", devices)
        _insert(session, "holders", [holder_row(key, *value) for key, value in state.holders.take_fresh().items()])
        _insert(session, "evidence", [evidence_row(key, value) for key, value in state.evidence.take_fresh().items()])
        reasons = state.reasons.take_fresh().items()
        _insert(session, "reasons", [{"reason_id": key, "reason": value} for key, value in reasons])
        changed: dict[int, list[Life]] = {}
        for place in self._touched:
            changed |= state.relive(place)
        write_lives(session, changed)

    def _write_facts(self, session: Session) -> None:
        _insert(session, "batches", self._batches)
        _insert(session, "board_energy", self._energy, stage="incoming_energy")
        _insert(session, "board_conditions", self._conditions, stage="incoming_conditions")
        _insert(session, "events", self._events)
        if not self._usage.rows:
            return
        usage = {"incoming_usage": self._usage.table()}
        hours = {hour_us for _, hour_us in self._dirty}
        session.execute("insert_usage", tables=usage)
        session.execute("merge_usage_hourly", {"first_hour_us": min(hours), "last_hour_us": max(hours)}, usage)
        dirty: Rows = [{"cluster": cluster, "hour_us": hour_us} for cluster, hour_us in sorted(self._dirty)]
        _insert(session, "dirty_hours", dirty, stage="incoming_dirty")


def write_lives(session: Session, changed: Mapping[int, list[Life]]) -> None:
    """Write the lives of devices that are not what they were."""
    if changed:
        rows = [{"device_id": key, **life._asdict()} for key, found in changed.items() for life in found]
        lives = {"incoming_lives": staged("incoming_lives", rows)}
        for name in ("delete_lives", "insert_lives", "update_device_lives"):
            session.execute(name, tables=lives)


def identities(intakes: Iterable[Intake], state: State) -> Rows:
    """Return the identities that were taken before: few, so that digests stay in the database and not in memory."""
    found = {intake.batch.id for intake in intakes if intake.batch}
    return [
        identity._asdict()
        for identity in sorted(found)
        if state.taken.overlap((identity.agent, identity.boot), identity.sequence, identity.sequence + 1)
    ]


def _insert(session: Session, table: str, rows: Rows, *, stage: str = "") -> None:
    if rows:
        name = stage or f"incoming_{table}"
        session.execute(f"insert_{table}", tables={name: staged(name, rows)})


def _batch_row(batch: wire.Batch, batch_id: int, digest: bytes, received_us: int) -> dict[str, Any]:
    return {
        "batch_id": batch_id,
        **batch.id._asdict(),
        "cluster": batch.cluster,
        "node": batch.node,
        "digest": digest,
        "usage_rows": batch.rows,
        "from_us": batch.from_us,
        "until_us": batch.until_us,
        "sealed_at_us": batch.sealed_at_us,
        "received_us": received_us,
        "software": batch.software,
    }


def _conflict(batch: wire.Batch) -> WireError:
    return WireError(
        "conflict",
        f"batch {batch.sequence} of {batch.agent} was taken before with another content",
        hint="two agents share one spool or one name: give each node its own [agent] name and spool folder",
    )


def _overlapping(place: Place, span: Interval, covered: Interval) -> WireError:
    return WireError(
        "overlap",
        f"[{span.start_us}, {span.end_us}) of {place.device_key} on {place.node} is in the ledger already:"
        f" [{covered.start_us}, {covered.end_us})",
        hint="two agents read one node, or its clock was set back: run one agent per node and keep its clock in step",
    )
