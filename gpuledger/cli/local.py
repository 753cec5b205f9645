"""A ledger opened in this process: what waits is rated first, then it answers as a collector would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from collector.imports.apply import apply_import
from collector.imports.payload import Applied, JobImport
from collector.ledger.store import Ledger
from collector.pricing.imports import import_owners, import_prices
from collector.queries.chargeback import chargeback
from collector.queries.idle import idle
from collector.queries.reconcile import reconcile
from collector.queries.utilization import utilization
from collector.rating import rate_dirty
from gpuledger.accounting.periods import parse_period
from gpuledger.cli.sources import Document, media_type, read_book
from gpuledger.errors import ConfigError

Params = Mapping[str, str]
Answering = Callable[[Ledger, Params], msgspec.Struct]
_FORMATS: Final[dict[str, Literal["toml", "csv"]]] = {"application/toml": "toml", "text/csv": "csv"}

QUERIES: Final[dict[str, Answering]] = {
    "chargeback": lambda ledger, params: chargeback(
        ledger, parse_period(params["period"]), by=params["by"], view=params["view"]
    ),
    "utilization": lambda ledger, params: utilization(ledger, parse_period(params["period"]), by=params["by"]),
    "idle": lambda ledger, params: idle(ledger, parse_period(params["period"])),
    "reconcile": lambda ledger, params: reconcile(ledger, parse_period(params["period"])),
}


class LocalSource:
    """A folder that no collector has open."""

    def __init__(self, directory: Path) -> None:
        self._ledger = Ledger.open(directory)
        self._rated = False

    def query(self, name: str, params: Params) -> Document:
        """Return an answer as the collector's JSON would have it."""
        try:
            answering = QUERIES[name]
        except KeyError as error:
            raise ConfigError(f"{name} needs a running collector", hint="name it with --url") from error
        self._rate_once()
        return _plain(answering(self._ledger, params))

    def import_book(self, kind: str, path: Path) -> Document:
        """Import a price book or an owner mapping."""
        content, as_format = read_book(path), _FORMATS[media_type(path)]
        importing = import_prices if kind == "prices" else import_owners
        now_us = self._ledger.now_us()
        self._rated = False
        return _plain(importing(self._ledger, content, as_format, source=path.name, imported_us=now_us))

    def import_jobs(self, chunk: JobImport) -> Applied:
        """Book one chunk."""
        self._rated = False
        return apply_import(self._ledger, chunk)

    def close(self) -> None:
        """Release the ledger."""
        self._ledger.close()

    def _rate_once(self) -> None:
        if not self._rated:
            rate_dirty(self._ledger)
            self._rated = True


def _plain(answer: msgspec.Struct) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(answer)
    return document
