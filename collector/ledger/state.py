"""What the writer keeps in memory about the ledger's contents; all of it is read from the database when it opens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from collector.ledger.covered import Covered
from collector.ledger.database import Session
from collector.ledger.dimensions import (
    Dimension,
    Place,
    device_from,
    device_identity,
    evidence_from,
    holder_from,
    holder_identity,
)
from collector.ledger.lives import Life, lives
from gpuledger.model import Device, Evidence, Holder


class State:
    """Identities taken, time covered, ids given: what decides whether a batch is new and whole."""

    def __init__(self, session: Session) -> None:
        rows = _rows(session)
        devices = [(row["device_id"], device_from(row)) for row in rows("select_devices")]
        self.devices: Dimension[tuple[Place, Device]] = Dimension(device_identity, devices)
        self.holders: Dimension[tuple[str, Holder]] = Dimension(
            holder_identity, [(row["holder_id"], holder_from(row)) for row in rows("select_holders")]
        )
        self.evidence: Dimension[Evidence] = Dimension(
            lambda value: value, [(row["evidence_id"], evidence_from(row)) for row in rows("select_evidence")]
        )
        self.reasons: Dimension[str] = Dimension(
            lambda value: value, [(row["reason_id"], row["reason"]) for row in rows("select_reasons")]
        )
        self.taken: Covered[tuple[str, str]] = Covered(
            ((row["agent"], row["boot"]), row["begins"], row["past"]) for row in rows("select_sequences")
        )
        self.agents = {row["agent"] for row in rows("select_sequences")}
        self.covered: Covered[int] = Covered(
            (row["device_id"], row["start_us"], row["end_us"])
            for name in ("select_covered_hours", "select_covered_parts")
            for row in rows(name)
        )
        self.versions: defaultdict[Place, list[int]] = defaultdict(list)
        self.pools: dict[int, bool] = {}  # whether a device is a pool
        self.retired: defaultdict[Place, set[int]] = defaultdict(set)
        for device_id, (place, device) in devices:
            self.place(device_id, place, pool=device.kind == "pool")
        for row in rows("select_retirements"):
            self.retired[Place(row["cluster"], row["node"], row["device_key"])].add(row["at_us"])
        self.lives: dict[int, list[Life]] = defaultdict(list)
        for row in rows("select_lives"):
            self.lives[row["device_id"]].append(Life(row["from_us"], row["to_us"]))
        head = rows("select_heads")[0]
        self.next_batch_id: int = head["next_batch_id"]
        self.next_quarantine_id: int = head["next_quarantine_id"]
        self.quarantined: dict[bytes, tuple[int, int]] = {
            row["digest"]: (row["quarantine_id"], row["size_bytes"]) for row in rows("select_quarantined")
        }

    def place(self, device_id: int, place: Place, *, pool: bool) -> None:
        """Remember that `device_id` is a version of the device at `place`."""
        if device_id not in self.pools:
            self.pools[device_id] = pool
            self.versions[place].append(device_id)

    def goes_on(self, place: Place, device_id: int, start_us: int) -> bool:
        """Return whether usage from `start_us` on plainly leaves the lives of the device at `place` as they are."""
        known = self.lives.get(device_id)
        alone = len(self.versions[place]) == 1 and place not in self.retired
        return alone and known is not None and known[0].from_us <= start_us

    def relive(self, place: Place) -> dict[int, list[Life]]:
        """Return the lives of the versions at `place` that are not what they were, and remember them."""
        known = {version: self.covered.of(version) for version in self.versions[place]}
        retired_us = self.retired.get(place, ())
        pooled = any(self.pools[version] for version in known)
        alone = [{version: spans} for version, spans in known.items()]
        fresh: dict[int, list[Life]] = {}
        for versions in alone if pooled else [known]:  # a pool's jobs overlap: one does not end another's life
            fresh |= lives(versions, retired_us)
        changed = {version: found for version, found in fresh.items() if found != self.lives.get(version, [])}
        self.lives.update(changed)
        return changed


def _rows(session: Session) -> Callable[[str], list[dict[str, Any]]]:
    return lambda name: session.execute(name).to_pylist()
