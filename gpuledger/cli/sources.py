"""Where commands read and change a ledger: a running collector over HTTP, or a folder that no collector has open."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from gpuledger.accounting.periods import Period, month_of, parse_period
from gpuledger.cli.extras import needs
from gpuledger.client import DEFAULT_URL, ClientTls, CollectorClient
from gpuledger.clock import WallClock
from gpuledger.errors import ConfigError, LedgerError, TransientDeliveryError
from gpuledger.tokens import find_token
from gpuledger.zones import find_zone

if TYPE_CHECKING:
    import pyarrow as pa

    from collector.imports.payload import Applied, JobImport

Document = dict[str, Any]
ARROW: Final = "application/vnd.apache.arrow.stream"
READ_TIMEOUT_S: Final = 120.0
REPLAY_TIMEOUT_S: Final = 4 * 3_600.0  # what has to be made again from raw takes minutes on a large ledger
MEDIA_TYPES: Final = {".toml": "application/toml", ".csv": "text/csv"}


class Source(Protocol):
    """A ledger that answers questions and takes books."""

    def query(self, name: str, params: Mapping[str, str]) -> Document:
        """Return the answer called `name`: chargeback, utilization, idle, reconcile, prices, owners, status, ..."""
        ...

    def table(self, name: str, params: Mapping[str, str]) -> pa.Table:
        """Return the rows of an answer that may have very many of them."""
        ...

    def import_book(self, kind: str, path: Path) -> Document:
        """Make the file the whole book of a kind: `prices`, `owners`, `policies`, `directory`; return what changed."""
        ...

    def try_book(self, kind: str, path: Path) -> Document:
        """Return what the import of this file would change of open bills; nothing is stored."""
        ...

    def check_owners(self, check: str, path: Path, params: Mapping[str, str]) -> Document:
        """Hold an owner mapping against the ledger, storing nothing: `explain` a holder, `test` what would move."""
        ...

    def try_rules(self, path: Path, params: Mapping[str, str]) -> Document:
        """Return which recorded decisions this rule book would make otherwise; nothing is stored."""
        ...

    def rate(self, period: str, *, apply: bool) -> Document:
        """Rate what is open of `period` again; return what changed (or, without `apply`, what would)."""
        ...

    def set_calendar(self, zone: str | None, grace_hours: int | None) -> None:
        """Change whose days a month means, and how long late data is waited for; None: as it is."""
        ...

    def close_period(self, period: str, *, by: str, exception: str) -> Document:
        """Close a billing period for ever; return what it was closed with."""
        ...

    def change(self, path: str, asked: Document) -> Document:
        """Dispute, adjust, ask for or decide something, as `POST path` does; return what that made."""
        ...

    def import_jobs(self, chunk: JobImport) -> Applied:
        """Book jobs of a scheduler's log; return what became of them."""
        ...

    def tokens(self) -> Document:
        """Return all tokens, without their secrets."""
        ...

    def create_token(self, asked: Document) -> Document:
        """Make a token; return it with its secret, which is nowhere else."""
        ...

    def revoke_token(self, number: int, why: str) -> Document:
        """End a token for ever; return what it was."""
        ...

    def close(self) -> None:
        """Release the connection or the ledger."""
        ...


class HttpSource:
    """A running collector."""

    def __init__(self, url: str, token_file: Path | None = None) -> None:
        token = find_token(url, file=token_file)
        tls = ClientTls.of_environment(os.environ)
        self._client = CollectorClient(url, token=token, timeout_s=READ_TIMEOUT_S, tls=tls)
        self._patient = CollectorClient(url, token=token, timeout_s=REPLAY_TIMEOUT_S, tls=tls)

    def query(self, name: str, params: Mapping[str, str]) -> Document:
        """Return the JSON of `GET /v1/<name>`."""
        client = self._patient if name == "verification" or "as_known" in params else self._client
        with self._explained():
            answer: Document = client.get_json(f"/v1/{name}", params)
        return answer

    def table(self, name: str, params: Mapping[str, str]) -> pa.Table:
        """Return the rows of `GET /v1/<name>`, which come as an Arrow stream."""
        import pyarrow as pa

        with self._explained():
            body = self._client.get(f"/v1/{name}", params, accept=ARROW)
        with pa.ipc.open_stream(body) as stream:
            return stream.read_all()

    def import_book(self, kind: str, path: Path) -> Document:
        """Send the file as it is; the collector reads and checks it."""
        body = read_book(path)
        with self._explained():
            answer: Document = self._client.post(f"/v1/{kind}", body, media_type(path), {"source": path.name})
        return answer

    def try_book(self, kind: str, path: Path) -> Document:
        """Send the file to be tried."""
        body = read_book(path)
        with self._explained():
            answer: Document = self._client.post(f"/v1/{kind}/trial", body, media_type(path), {"source": path.name})
        return answer

    def check_owners(self, check: str, path: Path, params: Mapping[str, str]) -> Document:
        """Send the file to be held against the ledger."""
        body = read_book(path)
        asked = {"source": path.name, **params}
        with self._explained():
            answer: Document = self._client.post(f"/v1/owners/{check}", body, media_type(path), asked)
        return answer

    def try_rules(self, path: Path, params: Mapping[str, str]) -> Document:
        """Send the file to be held against recorded decisions."""
        body = read_book(path)
        asked = {"source": path.name, **params}
        with self._explained():
            answer: Document = self._client.post("/v1/rules/dry-run", body, media_type(path), asked)
        return answer

    def rate(self, period: str, *, apply: bool) -> Document:
        """Let the collector rate: it does so before it answers any question about money."""
        pending = self.query("status", {})["pending_hours"]
        after: Document = {"period": {"label": period}, "currency": None}
        if apply:
            after = self.query("chargeback", {"period": period})
        return {
            "period": after["period"],
            "currency": after["currency"],
            "applied": apply,
            "pending_hours": pending,
            "cost_before": None,
            "cost_after": after["total"]["cost"] if apply else None,
        }

    def set_calendar(self, zone: str | None, grace_hours: int | None) -> None:  # noqa: ARG002 - a collector has its own
        """Refuse: a collector's calendar is in its settings."""
        raise ConfigError(
            "a collector's billing calendar is in its settings",
            hint="set [billing] zone and grace_hours in collector.toml and start it again, or use --ledger DIR",
        )

    def close_period(self, period: str, *, by: str, exception: str) -> Document:
        """Ask the collector to close it."""
        body = msgspec.json.encode({"period": period, "by": by, "exception": exception})
        with self._explained():
            answer: Document = self._client.post("/v1/periods", body, "application/json")
        return answer

    def change(self, path: str, asked: Document) -> Document:
        """Ask the collector to do it."""
        with self._explained():
            answer: Document = self._client.post(path, msgspec.json.encode(asked), "application/json")
        return answer

    def import_jobs(self, chunk: JobImport) -> Applied:
        """Send one chunk."""
        from collector.imports.payload import MEDIA_TYPE, Applied, encode_import

        with self._explained():
            answer = self._client.post("/v1/imports/jobs", encode_import(chunk), MEDIA_TYPE)
        return msgspec.convert(answer, Applied)

    def tokens(self) -> Document:
        """Ask for all tokens."""
        return self.query("tokens", {})

    def create_token(self, asked: Document) -> Document:
        """Ask for a new one."""
        return self.change("/v1/tokens", asked)

    def revoke_token(self, number: int, why: str) -> Document:
        """Ask to end one."""
        return self.change(f"/v1/tokens/{number}/revocation", {"why": why})

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._patient.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say, where nothing answers, that a ledger can also be read without a collector."""
        try:
            yield
        except TransientDeliveryError as error:
            if error.status is not None:
                raise
            raise TransientDeliveryError(
                f"no collector answers at {self._client.url}",
                hint='start one with "gpuledger collector", name another with --url, '
                "or read a ledger that no collector has open with --ledger DIR",
            ) from error


def wanted_period(source: Source, text: str) -> Period:
    """Return the period that `text` names by the days of the billing zone; the current month where it is empty."""
    zone = find_zone(source.query("status", {})["zone"])
    return parse_period(text, zone) if text else month_of(WallClock().now_us(), zone)


def read_book(path: Path) -> bytes:
    """Return the file's bytes; raises ConfigError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="give a TOML or CSV file") from error


def media_type(path: Path) -> str:
    """Return the media type of a book by its suffix."""
    try:
        return MEDIA_TYPES[path.suffix.lower()]
    except KeyError as error:
        raise ConfigError(f"{path.name} is neither .toml nor .csv", hint="rename it to what it is") from error


@contextmanager
def open_source(args: argparse.Namespace, *, create: bool = False) -> Iterator[Source]:
    """Open what `--ledger` or `--url` name, and close it again; `create` a ledger in a folder that has none."""
    source: Source = (
        open_local(args.ledger, create=create)
        if args.ledger
        else HttpSource(args.url or DEFAULT_URL, getattr(args, "token_file", None))
    )
    try:
        yield source
    finally:
        source.close()


def open_local(directory: Path, *, create: bool = False) -> Source:
    """Open the ledger in a folder; raises LedgerError where there is none and none is to be made."""
    if not create and not (directory / "ledger.duckdb").is_file():
        raise LedgerError(
            f"{directory} holds no ledger.duckdb", hint="name the folder that the collector or the demo was given"
        )
    with needs("collector", "--ledger"):
        from gpuledger.cli.local import LocalSource
    return LocalSource(directory)
