"""What happens on each route: parse, call, serialise."""

from __future__ import annotations

from typing import Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from collector.access.gate import Handler, identity_of
from collector.access.identity import Identity
from collector.access.refusals import NotAllowedError
from collector.access.roles import Role
from collector.api.answers import ARROW, JSON, negotiate, offered_for, render, render_table
from collector.api.asking import ask, ask_table, seen_by
from collector.api.bodies import MAX_DOCUMENT_BYTES, MAX_REQUEST_BYTES, body_of, parse_request
from collector.api.changes import Change, read_number
from collector.api.metrics import AdmissionCollector, AdmissionState, FiguresCollector, LogCollector
from collector.api.parameters import Parameter, each_once, read_parameters
from collector.api.problems import problem, refusal, respond
from collector.api.questions import Question
from collector.api.services import Services
from collector.commit import OverloadError
from collector.enforcement.gate import Mode
from collector.enforcement.reviews import MAX_BYTES as MAX_REVIEW_BYTES
from collector.enforcement.slurm_jobs import job_ask
from collector.governance.guarding import close_period_by_rule
from collector.imports.apply import apply_import
from collector.imports.payload import decode_import
from collector.ledger.intake import BatchResult
from gpuledger.accounting.periods import parse_period
from gpuledger.client import BatchReceipt
from gpuledger.errors import AdmissionError, LedgerError, WireError
from gpuledger.wire import MAX_FRAME_BYTES


class CloseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which period to close, who does it, and, where it is not clean, who accepts that and why."""

    period: str
    by: str
    exception: str = ""


_Body = TypeVar("_Body", bound=msgspec.Struct)
CLUSTER: Final = Parameter(
    "cluster", "the cluster that asks, as agents name it; absent: the one of the settings", default=""
)


def batches(services: Services) -> Handler:
    """Take a frame; answer once it is durable."""

    async def handle(request: Request) -> Response:
        try:
            frame = await body_of(request, MAX_FRAME_BYTES)
            result = await services.commit.submit(frame, identity_of(request).agent)
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
        nodes = identity_of(request).nodes

        def answer() -> Response:
            if asked.table and media_type == ARROW:
                return render_table(ask_table(services.ledger, asked, values, services.rater.rate, nodes))
            return render(ask(services.ledger, asked, values, services.rater.rate, nodes), media_type)

        return await run_in_threadpool(answer)

    return handle


def jobs(services: Services) -> Handler:
    """Book a part of a job log."""

    async def handle(request: Request) -> Response:
        chunk = decode_import(await body_of(request, MAX_DOCUMENT_BYTES))
        applied = await run_in_threadpool(apply_import, services.ledger, chunk)
        return Response(msgspec.json.encode(applied), media_type=JSON)

    return handle


def close(services: Services) -> Handler:
    """Close a billing period."""

    async def handle(request: Request) -> Response:
        asked = signed(identity_of(request), parse_close_request(await body_of(request, MAX_REQUEST_BYTES)))
        period = parse_period(asked.period, services.ledger.calendar.days)
        report = await run_in_threadpool(
            close_period_by_rule, services.ledger, period, by=asked.by, exception=asked.exception
        )
        services.rater.books_changed()
        return Response(msgspec.json.encode(report), media_type=JSON)

    return handle


def parse_close_request(body: bytes) -> CloseRequest:
    """Return what a body asks to close. Raises ConfigError where that is unclear: what is closed is closed for ever."""
    return parse_request(body, CloseRequest, '{"period":"2026-11","by":"ann"}')


def signed(identity: Identity, body: _Body) -> _Body:
    """Return a body with who says it: whoever asks. Only an administrator may name another, and the audit log has both.

    Raises NotAllowedError where somebody else names another: who decides must be who asked.
    """
    by = getattr(body, "by", None)
    if by is None or identity.role is Role.ADMIN or by.strip() == identity.name:
        return body
    if by.strip():
        raise NotAllowedError(f'"by" is {by}, and the token is that of {identity.name}', hint='leave "by" empty')
    return msgspec.structs.replace(body, by=identity.name)


def change(services: Services, asked: Change) -> Handler:
    """Do what somebody decided about bills."""

    async def handle(request: Request) -> Response:
        number = read_number(request.path_params["number"]) if request.path_params else 0
        body = parse_request(await body_of(request, MAX_REQUEST_BYTES), asked.takes, asked.example)
        identity = identity_of(request)
        by = signed(identity, body)

        def change_it() -> msgspec.Struct:
            if not identity.bound:
                return asked.do(services.ledger, number, by)
            assert asked.own, "the table of routes lets nobody through who is bound"
            theirs = seen_by(services.ledger, identity.nodes)
            asked.own.sees(theirs, number, by)
            return asked.own.show(theirs, asked.do(services.ledger, number, by))

        report = await run_in_threadpool(change_it)
        services.rater.books_changed()  # an approval may import prices
        return Response(msgspec.json.encode(report), media_type=JSON)

    return handle


def admission(services: Services) -> Handler:
    """Answer kube-apiserver, from memory and on the event loop: a thread would take longer to begin."""

    async def handle(request: Request) -> Response:
        cluster = read_parameters((CLUSTER,), each_once(_known(request)))["cluster"]
        try:
            reviewed = services.admission.gatekeeper.review(await body_of(request, MAX_REVIEW_BYTES), cluster)
        except (AdmissionError, WireError):
            services.metrics.admission_malformed.inc()
            raise
        return Response(reviewed, media_type=JSON)

    return handle


def job_admission(services: Services) -> Handler:
    """Answer Slurm's job_submit in lines that Lua reads: the result, then the message."""

    async def handle(request: Request) -> Response:
        try:
            fields = _form(await body_of(request, MAX_REQUEST_BYTES))
            ask = job_ask(fields, services.admission.settings.cluster)
        except (AdmissionError, WireError):
            services.metrics.admission_malformed.inc()
            raise
        told = services.admission.gatekeeper.job(ask)
        return Response("\n".join((told.result, told.message, *told.warnings)), media_type="text/plain")

    return handle


def _known(request: Request) -> list[tuple[str, str]]:
    """Return the parameters of a webhook's URL but `timeout`, which kube-apiserver adds to it."""
    return [pair for pair in request.query_params.multi_items() if pair[0] != "timeout"]


def _form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=100)
    except ValueError as error:  # text that is no Unicode is such as well
        raise AdmissionError(f"this is no form: {error}", hint="send name=value&name=value") from error
    return each_once(pairs)


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
        figures.register(AdmissionCollector(_admission_state(services)))
        figures.register(LogCollector(services.log.state))
        figures.register(FiguresCollector(services.figures.current(), services.clock.now_us()))
        services.metrics.queued.set(services.commit.queued)
        return bytes(generate_latest(services.metrics.registry)) + bytes(generate_latest(figures))

    async def handle(_request: Request) -> Response:
        return Response(await run_in_threadpool(expose), media_type=CONTENT_TYPE_LATEST)

    return handle


def _admission_state(services: Services) -> AdmissionState:
    found = services.admission
    mode = "" if found.gatekeeper.mode is Mode.OFF else found.gatekeeper.mode.value
    refuses = found.gatekeeper.mode is Mode.ENFORCE and found.settings.on_doubt == "refuse"
    return AdmissionState(
        mode, found.age_s, found.settings.stale_after_s, found.records.waiting, found.records.lost, refuses
    )


def _receipt(result: BatchResult) -> bytes:
    receipt = BatchReceipt(result.agent, result.boot, result.sequence, result.rows, result.duplicate)
    return msgspec.json.encode(receipt)
