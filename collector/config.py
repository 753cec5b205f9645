"""Settings of the collector: where it listens, where its ledger is, how much it takes in at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from collector.ledger.calendar import MAX_GRACE_HOURS
from gpuledger.errors import ConfigError

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
    publish: tuple[str, ...] = ()  # a command that takes each one further, its file as the last argument
    every_s: Annotated[int, Meta(ge=10, le=86_400)] = 3_600
    origin: Annotated[str, Meta(pattern=r"^[^\s+]+$")] = "gpuledger"  # what checkpoints call this log


class NotifySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[notify]: where notices go that budgets give to people."""

    addresses: Path | None = None  # a TOML file: name = "address", of https://appriseit.com; keep it from other eyes


class BillingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[billing]: whose days a month means, and how long late data is waited for; absent: as the ledger has it."""

    zone: Annotated[str, Meta(min_length=1)] | None = None  # of the IANA database; a new ledger has UTC
    grace_hours: Annotated[int, Meta(ge=0, le=MAX_GRACE_HOURS)] | None = None  # a new ledger has none


class AccessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[access]: where token files lie, and what needs no token.

    The folder (by default `access` beside the ledger) has admin.token, join.token and viewer.token: those that are
    there are taken over at the start, and a new ledger gets those that are not. On an address that is not loopback
    everything needs a token, whatever `anonymous` says.
    """

    directory: Path | None = None
    anonymous: Literal["viewer", "none"] = "viewer"  # of who asks on this very machine, without a token
    open_metrics: bool | None = None  # /metrics without a token; by default on loopback only


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[tls]: the server's certificate and key (PEM). With a client CA nobody connects without a certificate of it.

    `bind_agents`: an agent's certificate has the agent's name as its common name; its token is good with that only.
    """

    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    bind_agents: bool = False

    def __post_init__(self) -> None:
        """Raise ConfigError on settings that would leave open what they seem to close."""
        if (self.certificate is None) != (self.key is None):
            raise ConfigError("[tls] has a certificate or a key, and needs both", hint="give certificate and key")
        if self.client_ca and not self.certificate:
            raise ConfigError("[tls] client_ca without a certificate", hint="give certificate and key, too")
        if self.bind_agents and not self.client_ca:
            raise ConfigError("[tls] bind_agents without client_ca", hint="say whose certificates agents have")


class OidcSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[oidc]: an issuer whose signed tokens are taken beside our own; without `issuer` there is none.

    `roles` says which value of the claim means which role, `teams` which means which owner (absent: the value is one).
    A path such as realm_access.roles goes into a claim.
    """

    issuer: str = ""
    audience: str = ""
    jwks_file: Path | None = None  # the issuer's keys; without it they are read from the issuer's address
    role_claim: str = "roles"
    roles: dict[str, str] = {}
    teams_claim: str = "teams"
    teams: dict[str, str] = {}
    name_claim: str = "email"  # who it is in the audit log; where it is absent, `sub`
    leeway_s: Annotated[int, Meta(ge=0, le=300)] = 30  # how far clocks may lie apart
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 5.0
    refresh_s: Annotated[int, Meta(ge=1, le=86_400)] = 3_600
    cooldown_s: Annotated[int, Meta(ge=0, le=3_600)] = 60  # least time between two questions to the issuer


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[limits]: how often one identity (without one, one address) may ask; strangers: those who have no valid token."""

    requests_per_second: Annotated[float, Meta(gt=0)] = 50.0
    requests_burst: Annotated[int, Meta(ge=1)] = 1_000
    batches_per_second: Annotated[float, Meta(gt=0)] = 100.0  # of one agent
    batches_burst: Annotated[int, Meta(ge=1)] = 2_000
    starts_per_second: Annotated[float, Meta(gt=0)] = 2_000.0  # of one scheduler: what is refused here starts unasked
    starts_burst: Annotated[int, Meta(ge=1)] = 20_000
    strangers_per_second: Annotated[float, Meta(gt=0)] = 1.0
    strangers_burst: Annotated[int, Meta(ge=1)] = 100


class AdmissionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[admission]: what schedulers are told that ask whether work may start, and where they ask."""

    mode: Literal["shadow", "enforce", "off"] = "shadow"  # shadow: all is allowed, and what would not have been is kept
    on_doubt: Literal["allow", "refuse"] = "allow"  # in mode enforce, where figures are stale or an object is broken
    stale_after_s: Annotated[int, Meta(ge=5, le=86_400)] = 120
    refresh_s: Annotated[int, Meta(ge=1, le=3_600)] = 10
    promise_s: Annotated[int, Meta(ge=1, le=86_400)] = 300  # until what was allowed shows in usage
    queue: Annotated[int, Meta(ge=1, le=10_000_000)] = 20_000  # answers that wait for the ledger
    cluster: str = ""  # of asks that name none; as agents name it
    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] | None = None  # for HTTPS alone, with nothing else on it; absent: none
    certificate: Path | None = None  # PEM, read again when it changes
    key: Path | None = None
    client_ca: Path | None = None  # who asks has to show a certificate of it


class CollectorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The collector's whole configuration."""

    server: ServerSettings = ServerSettings()
    ledger: LedgerSettings = LedgerSettings()
    ingest: IngestSettings = IngestSettings()
    audit: AuditSettings = AuditSettings()
    billing: BillingSettings = BillingSettings()
    notify: NotifySettings = NotifySettings()
    access: AccessSettings = AccessSettings()
    tls: TlsSettings = TlsSettings()
    oidc: OidcSettings = OidcSettings()
    limits: LimitSettings = LimitSettings()
    admission: AdmissionSettings = AdmissionSettings()
