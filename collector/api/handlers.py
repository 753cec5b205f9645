"""What happens on each route: parse, call, serialise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from collector.api.answers import ARROW, JSON, negotiate, offered_for, render, render_table
from collector.api.asking import ask
from collector.api.changes import Change, parse_request, read_number
from collector.api.metrics import FiguresCollector
from collector.api.parameters import Parameter, each_once, read_parameters
from collector.api.problems import problem, refusal, respond
from collector.api.questions import RULES_CHECK, Question
from collector.api.services import Services
from collector.commit import OverloadError
from collector.governance.budget_books import import_budgets
from collector.governance.guarding import guard, import_prices_by_rule
from collector.governance.rulebooks import import_rules, read_rules
from collector.governance.wanted import Asked
from collector.imports.apply import apply_import
from collector.imports.payload import decode_import
from collector.ledger.intake import BatchResult
from collector.periods.closing import close_period
from collector.policies.imports import import_policies
from collector.pricing.carbon import import_carbon
from collector.pricing.files import parse_owner_map
from collector.pricing.imports import ImportReport, import_directory, import_owners, import_prices
from collector.pricing.records import file_format
from collector.pricing.shares import import_shares
from collector.queries.book_trials import try_book
from collector.queries.budgets import try_budgets
from gpuledger.accounting.periods import parse_period
from gpuledger.client import BatchReceipt
from gpuledger.errors import LedgerError, WireError
from gpuledger.wire import MAX_FRAME_BYTES


class CloseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which period to close, who does it, and, where it is not clean, who accepts that and why."""

    period: str
    by: str
    exception: str = ""


Handler = Callable[[Request], Awaitable[Response]]
MAX_DOCUMENT_BYTES: Final = 64 * 1024 * 1024
MAX_REQUEST_BYTES: Final = 64 * 1024
BOOKS: Final[dict[str, Callable[..., ImportReport]]] = {
    "prices": import_prices,
    "owners": import_owners,
    "directory": import_directory,
    "policies": import_policies,
    "shares": import_shares,
}
SOURCE: Final = Parameter("source", "the name of the file, for messages and the history", default="")


def batches(services: Services) -> Handler:
    """Take a frame; answer once it is durable."""

    async def handle(request: Request) -> Response:
        try:
            result = await services.commit.submit(await _body(request, MAX_FRAME_BYTES))
        except WireError as error:
            services.metrics.refused(error.code)
            raise
        except OverloadError:
            services.metrics.batches.labels("overload").inc()
            raise
        except LedgerError:
            services.metrics.batches.labels("failed").inc()
            raise
        services.metrics.answered(result)
        return respond(refusal(result)) if result.code else Response(_receipt(result), media_type=JSON)

    return handle


def question(services: Services, asked: Question) -> Handler:
    """Answer a question about the ledger, from a thread of its own."""
    offered = offered_for(asked.answer)

    async def handle(request: Request) -> Response:
        media_type = negotiate(request.headers.get("accept", "*/*"), offered)
        given = each_once(request.query_params.multi_items())
        values = read_parameters(asked.parameters, given, services.ledger.calendar.days)

        def answer() -> Response:
            if asked.table and media_type == ARROW:
                services.rater.rate()
                return render_table(asked.table(services.ledger, **values))
            return render(ask(services.ledger, asked, values, services.rater.rate), media_type)

        return await run_in_threadpool(answer)

    return handle


def prices(services: Services) -> Handler:
    """Import a price book."""
    return _book(services, import_prices_by_rule)


def owners(services: Services) -> Handler:
    """Import an owner mapping."""
    return _book(services, import_owners)


def policies(services: Services) -> Handler:
    """Import a policy book."""
    return _book(services, import_policies)


def directory(services: Services) -> Handler:
    """Import a directory of people."""
    return _book(services, import_directory)


def shares(services: Services) -> Handler:
    """Import a share book."""
    return _book(services, import_shares)


def rules(services: Services) -> Handler:
    """Import a rule book."""
    return _book(services, import_rules)


def budgets(services: Services) -> Handler:
    """Import a budget book."""
    return _book(services, import_budgets)


def budget_trial(services: Services) -> Handler:
    """Say where the budgets of a book would stand; nothing is stored."""
    return _trial(services, try_budgets)


def try_rules(services: Services) -> Handler:
    """Hold a rule book against recorded decisions without storing it."""

    async def handle(request: Request) -> Response:
        given = each_once(request.query_params.multi_items())
        values = read_parameters((SOURCE, *RULES_CHECK.parameters), given, services.ledger.calendar.days)
        as_format = file_format(request.headers.get("content-type", ""))
        content = await _body(request, MAX_DOCUMENT_BYTES)
        book = read_rules(content, as_format, values.pop("source") or f"upload.{as_format}")
        answer = await run_in_threadpool(RULES_CHECK.ask, services.ledger, book, **values)
        return Response(msgspec.json.encode(answer), media_type=JSON)

    return handle


def carbon(services: Services) -> Handler:
    """Import carbon intensities."""
    return _book(services, import_carbon)


def try_mapping(services: Services, asked: Question) -> Handler:
    """Hold an owner mapping against the ledger without storing it."""

    async def handle(request: Request) -> Response:
        given = each_once(request.query_params.multi_items())
        values = read_parameters((SOURCE, *asked.parameters), given, services.ledger.calendar.days)
        as_format = file_format(request.headers.get("content-type", ""))
        content = await _body(request, MAX_DOCUMENT_BYTES)
        source = values.pop("source") or f"upload.{as_format}"

        def answer() -> msgspec.Struct:
            if asked.rated:
                services.rater.rate()
            return asked.ask(services.ledger, parse_owner_map(content, as_format, source), **values)

        return Response(msgspec.json.encode(await run_in_threadpool(answer)), media_type=JSON)

    return handle


def book_trial(services: Services, kind: str) -> Handler:
    """Say what a book would change; nothing is stored."""
    return _trial(services, partial(try_book, importing=BOOKS[kind]))


def _trial(services: Services, trying: Callable[..., msgspec.Struct]) -> Handler:
    async def handle(request: Request) -> Response:
        source = read_parameters((SOURCE,), each_once(request.query_params.multi_items()))["source"]
        as_format = file_format(request.headers.get("content-type", ""))
        content = await _body(request, MAX_DOCUMENT_BYTES)
        report = await run_in_threadpool(
            trying, services.ledger, content=content, as_format=as_format, source=source or f"upload.{as_format}"
        )
        return Response(msgspec.json.encode(report), media_type=JSON)

    return handle


def jobs(services: Services) -> Handler:
    """Book a part of a job log."""

    async def handle(request: Request) -> Response:
        chunk = decode_import(await _body(request, MAX_DOCUMENT_BYTES))
        applied = await run_in_threadpool(apply_import, services.ledger, chunk)
        return Response(msgspec.json.encode(applied), media_type=JSON)

    return handle


def close(services: Services) -> Handler:
    """Close a billing period."""

    async def handle(request: Request) -> Response:
        asked = parse_close_request(await _body(request, MAX_REQUEST_BYTES))
        period = parse_period(asked.period, services.ledger.calendar.days)
        if asked.exception:
            wanted = Asked(kind="exception", by=asked.by, why=asked.exception, period=asked.period)
            await run_in_threadpool(guard, services.ledger, wanted)
        report = await run_in_threadpool(
            close_period, services.ledger, period, closed_by=asked.by, exception=asked.exception
        )
        services.rater.books_changed()
        return Response(msgspec.json.encode(report), media_type=JSON)

    return handle


def parse_close_request(body: bytes) -> CloseRequest:
    """Return what a body asks to close. Raises ConfigError where that is unclear: what is closed is closed for ever."""
    return parse_request(body, CloseRequest, '{"period":"2026-11","by":"ann"}')


def change(services: Services, asked: Change) -> Handler:
    """Do what somebody decided about bills."""

    async def handle(request: Request) -> Response:
        number = read_number(request.path_params["number"]) if request.path_params else 0
        body = parse_request(await _body(request, MAX_REQUEST_BYTES), asked.takes, asked.example)
        report = await run_in_threadpool(asked.do, services.ledger, number, body)
        services.rater.books_changed()  # an approval may import prices
        return Response(msgspec.json.encode(report), media_type=JSON)

    return handle


def health(_services: Services) -> Handler:
    """Say that the process is alive."""

    async def handle(_request: Request) -> Response:
        return Response(b'{"status":"alive"}', media_type=JSON)

    return handle


def readiness(services: Services) -> Handler:
    """Say whether a batch would be committed: by committing."""

    async def handle(_request: Request) -> Response:
        if not services.commit.working:
            return respond(problem(503, "not_ready", "the collector takes no batches now", "see its log"), 2)
        await run_in_threadpool(services.ledger.probe)
        return Response(b'{"status":"ready"}', media_type=JSON)

    return handle


def metrics(services: Services) -> Handler:
    """Expose metrics in Prometheus' text format."""

    def expose() -> bytes:
        figures = CollectorRegistry()
        figures.register(FiguresCollector(services.figures.current(), services.clock.now_us()))
        services.metrics.queued.set(services.commit.queued)
        return bytes(generate_latest(services.metrics.registry)) + bytes(generate_latest(figures))

    async def handle(_request: Request) -> Response:
        return Response(await run_in_threadpool(expose), media_type=CONTENT_TYPE_LATEST)

    return handle


def _book(services: Services, take: Callable[..., msgspec.Struct]) -> Handler:
    async def handle(request: Request) -> Response:
        source = read_parameters((SOURCE,), each_once(request.query_params.multi_items()))["source"]
        as_format = file_format(request.headers.get("content-type", ""))
        content = await _body(request, MAX_DOCUMENT_BYTES)
        now_us = services.clock.now_us()
        report = await run_in_threadpool(
            take, services.ledger, content, as_format, source=source or f"upload.{as_format}", imported_us=now_us
        )
        services.rater.books_changed()
        return Response(msgspec.json.encode(report), media_type=JSON)

    return handle


async def _body(request: Request, limit_bytes: int) -> bytes:
    """Return the body; raises WireError (`too_large`) before more than `limit_bytes` are held."""
    stated = request.headers.get("content-length", "0")
    if stated.isdecimal() and int(stated) > limit_bytes:
        raise _too_large(limit_bytes)
    parts: list[bytes] = []
    size_bytes = 0
    async for part in request.stream():
        size_bytes += len(part)
        if size_bytes > limit_bytes:
            raise _too_large(limit_bytes)
        parts.append(part)
    return b"".join(parts)


def _too_large(limit_bytes: int) -> WireError:
    return WireError("too_large", f"the body is over the limit of {limit_bytes} bytes", hint="send it in smaller parts")


def _receipt(result: BatchResult) -> bytes:
    receipt = BatchReceipt(result.agent, result.boot, result.sequence, result.rows, result.duplicate)
    return msgspec.json.encode(receipt)
