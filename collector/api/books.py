"""Books over HTTP: files that become the whole of what they say, are tried, or are held against the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from collector.access.gate import Handler
from collector.api.answers import JSON
from collector.api.bodies import MAX_DOCUMENT_BYTES, body_of
from collector.api.parameters import Parameter, each_once, read_parameters
from collector.api.questions import Question
from collector.api.services import Services
from collector.governance.guarding import import_budgets_by_rule, import_prices_by_rule, import_quotas_by_rule
from collector.governance.rulebooks import import_rules
from collector.policies.imports import import_policies
from collector.pricing.carbon import import_carbon
from collector.pricing.imports import ImportReport, import_directory, import_owners, import_prices
from collector.pricing.records import FileFormat, file_format
from collector.pricing.shares import import_shares

TOML: Final = ("application/toml",)
TOML_OR_CSV: Final = (*TOML, "text/csv")
SOURCE: Final = Parameter("source", "the name of the file, for messages and the history", default="")
Importing = Callable[..., ImportReport]


class Book(NamedTuple):
    """A kind of file that is imported whole by `POST /v1/<kind>`; `types` are the media types that it comes in."""

    called: str
    importing: Importing
    types: tuple[str, ...] = TOML_OR_CSV


BOOKS: Final[dict[str, Book]] = {
    "prices": Book("price book", import_prices_by_rule),
    "owners": Book("owner mapping", import_owners),
    "directory": Book("directory of people", import_directory),
    "shares": Book("share book", import_shares),
    "policies": Book("policy book", import_policies, TOML),
    "rules": Book("rule book", import_rules, TOML),
    "budgets": Book("budget book", import_budgets_by_rule, TOML),
    "quotas": Book("quota book", import_quotas_by_rule, TOML),
}
IMPORTING: Final[dict[str, Importing]] = {
    **{kind: each.importing for kind, each in BOOKS.items()},
    "carbon": import_carbon,  # hours are added to those that are known: no book
}
# What open bills follow from: a trial says what the file would change of them.
BILLED: Final[dict[str, Importing]] = {
    "prices": import_prices,
    "owners": import_owners,
    "directory": import_directory,
    "policies": import_policies,
    "shares": import_shares,
}


class File(NamedTuple):
    """A file as it was sent, and the values of the parameters beside it."""

    content: bytes
    as_format: FileFormat
    source: str
    values: dict[str, Any]


def book(services: Services, importing: Importing) -> Handler:
    """Import a file as the whole book."""

    async def handle(request: Request) -> Response:
        file = await _file(services, request)
        report = await run_in_threadpool(
            importing, services.ledger, file.content, file.as_format,
            source=file.source, imported_us=services.clock.now_us(),
        )  # fmt: skip
        services.rater.books_changed()
        return Response(msgspec.json.encode(report), media_type=JSON)

    return handle


def book_trial(services: Services, trying: Callable[..., msgspec.Struct]) -> Handler:
    """Say what a book would change; nothing is stored."""

    async def handle(request: Request) -> Response:
        file = await _file(services, request)
        report = await run_in_threadpool(
            trying, services.ledger, content=file.content, as_format=file.as_format, source=file.source
        )
        return Response(msgspec.json.encode(report), media_type=JSON)

    return handle


def check(services: Services, asked: Question, parse: Callable[[bytes, FileFormat, str], object]) -> Handler:
    """Hold a file, as it is parsed, against the ledger without storing it."""

    async def handle(request: Request) -> Response:
        file = await _file(services, request, asked.parameters)

        def answer() -> msgspec.Struct:
            if asked.rated:
                services.rater.rate()
            return asked.ask(services.ledger, parse(file.content, file.as_format, file.source), **file.values)

        return Response(msgspec.json.encode(await run_in_threadpool(answer)), media_type=JSON)

    return handle


async def _file(services: Services, request: Request, parameters: tuple[Parameter, ...] = ()) -> File:
    given = each_once(request.query_params.multi_items())
    values = read_parameters((SOURCE, *parameters), given, services.ledger.calendar.days)
    as_format = file_format(request.headers.get("content-type", ""))
    content = await body_of(request, MAX_DOCUMENT_BYTES)
    return File(content, as_format, values.pop("source") or f"upload.{as_format}", values)
