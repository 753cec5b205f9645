"""The policy book as the ledger keeps it, in versions."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import pyarrow as pa

from collector.ledger.database import Session
from collector.pricing.stored import Version
from gpuledger.accounting.policies import Settings
from gpuledger.accounting.policybook import PolicyBook, PolicyEntry

SCHEMA: Final = pa.schema(
    [
        ("entry", pa.int32()),
        *((name, pa.string()) for name in ("organisation", "department", "team", "pool", "model", "settings")),
        *((name, pa.int64()) for name in ("from_us", "to_us")),
    ]
)
_SCOPE: Final = tuple(name for name in PolicyEntry._fields if name != "settings")


class StoredPolicies(NamedTuple):
    """A version of the policy book."""

    version: Version
    book: PolicyBook


def newest_policies(session: Session) -> StoredPolicies | None:
    """Return the policy book that bills of open periods follow; None before the first import."""
    newest = session.execute("policy_newest").to_pylist()
    if not newest:
        return None
    [found] = newest
    version = Version(found["policy_version"], found["imported_us"], found["source"], found["digest"])
    rows = session.execute("policy_entries", {"policy_version": version.number}).to_pylist()
    return StoredPolicies(version, PolicyBook([_entry(row) for row in rows]))


def policy_rows(book: PolicyBook) -> pa.Table:
    """Return the entries of a policy book as rows to insert."""
    rows = [
        {
            "entry": number,
            "settings": msgspec.json.encode(entry.settings).decode(),
            **{name: getattr(entry, name) for name in _SCOPE},
        }
        for number, entry in enumerate(book.entries)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _entry(row: dict[str, Any]) -> PolicyEntry:
    settings = msgspec.json.decode(row["settings"], type=Settings)
    return PolicyEntry(settings, **{name: row[name] for name in _SCOPE})
