"""The quota book as the ledger keeps it, in versions, and the import of a new one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import tzinfo
from functools import lru_cache
from typing import Final, NamedTuple

from collector.audit.canonical import Value
from collector.audit.log import record
from collector.governance.owners import known_nodes
from collector.governance.quota_files import parse_quota_book
from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.pricing.imports import ImportReport
from collector.pricing.records import FileFormat
from collector.pricing.stored import Version
from gpuledger.accounting.budgets import EVERYTHING
from gpuledger.accounting.globs import matches
from gpuledger.accounting.quota_gains import QuotaGain, quota_gains
from gpuledger.accounting.quotas import Quota

SHOWN: Final = 10


class StoredQuotas(NamedTuple):
    """A version of the quota book; 0: nobody imported one."""

    version: Version
    quotas: tuple[Quota, ...]


def import_quotas(
    ledger: Ledger, content: bytes, as_format: FileFormat, *, source: str, imported_us: int
) -> ImportReport:
    """Store a quota file as the whole new book. Raises QuotaBookError where it cannot be used; nothing is stored."""
    quotas = parse_quota_book(content, as_format, source, ledger.calendar.days)
    digest = hashlib.sha256(content).digest()
    with ledger.transaction() as session:
        warnings = quota_warnings(session, quotas)
        newest = newest_quotas(session, ledger.calendar.days)
        if newest.version.digest == digest:
            return ImportReport(newest.version.number, len(quotas), changed=False, warnings=warnings)
        number = newest.version.number + 1
        facts = {"imported_us": imported_us, "source": source, "digest": digest, "content": content.decode("utf-8-sig")}
        session.execute("quota_insert_book", {"quota_version": number, **facts})
        said: dict[str, Value] = {"source": source, "sha256": digest.hex(), "quotas": len(quotas)}
        record(session, ledger.now_us(), "quota.import", f"quotas {number}", said)
    return ImportReport(number, len(quotas), changed=True, warnings=warnings)


def newest_quotas(session: Session, zone: tzinfo) -> StoredQuotas:
    """Return the quota book that applies: without quotas before the first import."""
    rows = session.execute("quota_newest").to_pylist()
    if not rows:
        return StoredQuotas(Version(0, 0, "", b""), ())
    [row] = rows
    version = Version(row["quota_version"], row["imported_us"], row["source"], row["digest"])
    return StoredQuotas(version, _parsed(row["content"], version.source, zone))


def quota_book_gains(session: Session, quotas: Sequence[Quota], zone: tzinfo, now_us: int) -> list[QuotaGain]:
    """Return what a book allows beyond the newest one from now on."""
    return quota_gains(newest_quotas(session, zone).quotas, quotas, now_us, zone)


def quota_warnings(session: Session, quotas: Sequence[Quota]) -> list[str]:
    """Return which quotas are of owners that nothing is known of, or of models that no device has."""
    known, models = known_nodes(session), known_models(session)
    found = []
    for number, each in enumerate(quotas, 1):
        if known and each.owner != EVERYTHING and each.owner not in known:
            found.append(f'quota {number}: nothing was charged to "{each.owner}" yet, and no owner rule names it')
        if models and not any(matches(each.lane.model, model) for model in models):
            found.append(f'quota {number}: no device is a "{each.lane.model}"; there are: {", ".join(models)}')
    rest = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return [*found[:SHOWN], *rest]


def known_models(session: Session) -> list[str]:
    """Return the models of all devices that were ever seen."""
    return sorted({str(row["model"]) for row in session.execute("admission_devices").to_pylist()})


@lru_cache(maxsize=4)
def _parsed(content: str, source: str, zone: tzinfo) -> tuple[Quota, ...]:
    return parse_quota_book(content.encode(), "toml", source, zone)
