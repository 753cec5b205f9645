"""Settings of the collector: where it listens, where its ledger is, how much it takes in at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from collector.ledger.calendar import MAX_GRACE_HOURS

MIB = 1024 * 1024


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[server]: where it listens."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"  # empty would be every address of the machine
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8470  # 0: any free one
    keep_alive_s: Annotated[int, Meta(ge=1, le=3_600)] = 75  # longer than agents wait between batches


class LedgerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[ledger]: where it keeps what it knows."""

    directory: Path = Path("gpuledger-data")
    threads: Annotated[int, Meta(ge=1, le=256)] = 2
    checkpoint_idle_s: Annotated[int, Meta(ge=1, le=86_400)] = 300  # fold the log into the file after so long a silence


class IngestSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[ingest]: how batches share transactions, and when senders are asked to come back."""

    window_ms: Annotated[int, Meta(ge=0, le=5_000)] = 50
    enough_bytes: Annotated[int, Meta(ge=1, le=1024 * MIB)] = 512 * 1024  # ends the window early
    group_frames: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    group_bytes: Annotated[int, Meta(ge=MIB, le=1024 * MIB)] = 8 * MIB
    queue_frames: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000
    queue_bytes: Annotated[int, Meta(ge=MIB, le=8_192 * MIB)] = 256 * MIB


class AuditSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[audit]: the key that signs checkpoints of the audit log, and the second place that keeps them."""

    key: Path | None = None  # PEM, or in the environment as GPULEDGER_AUDIT_KEY; without one nothing is signed
    checkpoints: Path | None = None  # by default a folder beside the ledger; better one on another machine
    every_s: Annotated[int, Meta(ge=10, le=86_400)] = 3_600
    origin: Annotated[str, Meta(pattern=r"^[^\s+]+$")] = "gpuledger"  # what checkpoints call this log


class NotifySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[notify]: where notices go that budgets give to people."""

    addresses: Path | None = None  # a TOML file: name = "address", of https://appriseit.com; keep it from other eyes


class BillingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[billing]: whose days a month means, and how long late data is waited for; absent: as the ledger has it."""

    zone: Annotated[str, Meta(min_length=1)] | None = None  # of the IANA database; a new ledger has UTC
    grace_hours: Annotated[int, Meta(ge=0, le=MAX_GRACE_HOURS)] | None = None  # a new ledger has none


class CollectorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The collector's whole configuration."""

    server: ServerSettings = ServerSettings()
    ledger: LedgerSettings = LedgerSettings()
    ingest: IngestSettings = IngestSettings()
    audit: AuditSettings = AuditSettings()
    billing: BillingSettings = BillingSettings()
    notify: NotifySettings = NotifySettings()
