"""The table of routes: method, path, what it does, what it takes and answers, and its handler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import msgspec

from collector.access.gate import Handler
from collector.access.roles import Right
from collector.api import access, books, handlers
from collector.api.answers import JSON, offered_for
from collector.api.changes import CHANGES
from collector.api.parameters import Parameter
from collector.api.questions import OWNER_CHECKS, QUESTIONS, RULES_CHECK, Question
from collector.api.services import Services
from collector.governance.rulebooks import read_rules
from collector.imports.payload import MEDIA_TYPE as JOB_IMPORT
from collector.imports.payload import Applied
from collector.periods.closing import CloseReport
from collector.pricing.files import parse_owner_map
from collector.pricing.imports import ImportReport
from collector.queries.book_trials import BookTrial, try_book
from collector.queries.budgets import BudgetTrial, try_budgets
from collector.queries.quota_standing import QuotaTrial, try_quotas
from gpuledger.client import BatchReceipt
from gpuledger.wire import MEDIA_TYPE as BATCH

TEXT = "text/plain"
FORM = "application/x-www-form-urlencoded"


class Health(msgspec.Struct, frozen=True):
    """How the process is."""

    status: str


class Route(NamedTuple):
    """One route, as routing, the gate and the OpenAPI document need it. `needs`: the right that it takes."""

    method: str
    path: str
    means: str
    make: Callable[[Services], Handler]
    answer: type[msgspec.Struct] | None = None
    media_types: tuple[str, ...] = (JSON,)
    body_types: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    refusals: tuple[int, ...] = ()
    needs: Right = Right.ADMINISTER
    takes: type[msgspec.Struct] | None = None  # what a JSON body says


def routes() -> Iterator[Route]:
    """Yield all routes but `/openapi.json`, which describes them."""
    yield Route(
        "POST", "/v1/batches", "deliver a batch of usage; answered once it is durable", handlers.batches,
        BatchReceipt, body_types=(BATCH,), refusals=(409, 413, 422, 429, 503), needs=Right.DELIVER,
    )  # fmt: skip
    yield Route(
        "POST", "/v1/admission", "answer an AdmissionReview (admission.k8s.io/v1): may this work start",
        handlers.admission, body_types=(JSON,), parameters=(handlers.CLUSTER,), refusals=(400, 413),
        needs=Right.START,
    )  # fmt: skip
    yield Route(
        "POST", "/v1/admission/slurm", "say whether a job may be submitted: the result and a message, in lines",
        handlers.job_admission, media_types=(TEXT,), body_types=(FORM,), refusals=(400, 413),
        needs=Right.START,
    )  # fmt: skip
    yield from _books()
    yield Route(
        "POST", "/v1/imports/jobs", "book jobs of a scheduler's log", handlers.jobs,
        Applied, body_types=(JOB_IMPORT,), refusals=(413, 422, 503), needs=Right.BOOKS,
    )  # fmt: skip
    yield Route(
        "POST", "/v1/periods", "close a billing period", handlers.close,
        CloseReport, body_types=(JSON,), refusals=(400, 409, 413, 503), needs=Right.BILL, takes=handlers.CloseRequest,
    )  # fmt: skip
    for change in CHANGES:
        yield Route(
            "POST", change.path, change.means, partial(handlers.change, asked=change),
            change.answer, body_types=(JSON,), refusals=(400, 409, 413, 422, 503), needs=change.needs,
            takes=change.takes,
        )  # fmt: skip
    for asked in QUESTIONS:
        yield Route(
            "GET", asked.path, asked.means, partial(handlers.question, asked=asked),
            asked.answer, offered_for(asked.answer), parameters=asked.parameters, refusals=(400, 406, 503),
            needs=asked.needs,
        )  # fmt: skip
    yield from _access()
    yield from _process()


def _books() -> Iterator[Route]:
    for kind, book in books.BOOKS.items():
        make = partial(books.book, importing=book.importing)
        yield _file(f"/v1/{kind}", f"make this file the whole {book.called}", make, ImportReport, book.types)
    yield _file(
        "/v1/budgets/trial", "where the budgets of this file would stand; stores nothing",
        partial(books.book_trial, trying=try_budgets), BudgetTrial, books.TOML,
    )  # fmt: skip
    yield _file(
        "/v1/quotas/trial", "where the quotas of this file would stand; stores nothing",
        partial(books.book_trial, trying=try_quotas), QuotaTrial, books.TOML,
    )  # fmt: skip
    yield _check(RULES_CHECK, f"{RULES_CHECK.means}; stores nothing", read_rules, books.TOML)
    for kind, importing in books.BILLED.items():
        trying = partial(books.book_trial, trying=partial(try_book, importing=importing))
        means = f"what this file would change of open bills as the {kind}; stores nothing"
        yield _file(f"/v1/{kind}/trial", means, trying, BookTrial)
    adding = partial(books.book, importing=books.IMPORTING["carbon"])
    yield _file("/v1/carbon", "add hours of a region's carbon intensity", adding, ImportReport, ("text/csv",))
    for asked in OWNER_CHECKS:
        yield _check(asked, asked.means, parse_owner_map)


def _check(
    asked: Question, means: str, parse: Callable[..., object], types: tuple[str, ...] = books.TOML_OR_CSV
) -> Route:
    make = partial(books.check, asked=asked, parse=parse)
    return _file(asked.path, means, make, asked.answer, types)._replace(
        parameters=(books.SOURCE, *asked.parameters), needs=asked.needs
    )


def _file(
    path: str,
    means: str,
    make: Callable[[Services], Handler],
    answer: type[msgspec.Struct],
    types: tuple[str, ...] = books.TOML_OR_CSV,
) -> Route:
    """Return the route that takes a file."""
    return Route(
        "POST", path, means, make, answer,
        body_types=types, parameters=(books.SOURCE,), refusals=(400, 413, 422, 503), needs=Right.BOOKS,
    )  # fmt: skip


def _access() -> Iterator[Route]:
    yield Route("GET", "/v1/whoami", "who one is here", access.whoami, access.Who, needs=Right.WHO)
    yield Route(
        "GET", "/v1/tokens", "all tokens, without their secrets", access.tokens, access.Tokens, needs=Right.ADMINISTER
    )
    yield Route(
        "POST", "/v1/tokens", "make a token", access.create,
        access.NewToken, body_types=(JSON,), refusals=(400, 413, 503), needs=Right.ADMINISTER,
        takes=access.TokenRequest,
    )  # fmt: skip
    yield Route(
        "POST", "/v1/tokens/{number}/revocation", "end a token for ever", access.revoke,
        access.TokenRow, body_types=(JSON,), refusals=(400, 413, 503), needs=Right.ADMINISTER,
        takes=access.RevocationRequest,
    )  # fmt: skip
    yield Route(
        "POST", "/v1/agents", "register the token that a new agent made for itself", access.enrol,
        access.Enrolled, body_types=(JSON,), refusals=(400, 409, 413, 503), needs=Right.ENROL,
        takes=access.EnrolmentRequest,
    )  # fmt: skip


def _process() -> Iterator[Route]:
    yield Route("GET", "/healthz", "whether the process is alive", handlers.health, Health, needs=Right.NOTHING)
    yield Route(
        "GET",
        "/readyz",
        "whether a batch would be committed",
        handlers.readiness,
        Health,
        refusals=(503,),
        needs=Right.NOTHING,
    )
    yield Route(
        "GET",
        "/metrics",
        "metrics for Prometheus",
        handlers.metrics,
        media_types=(TEXT,),
        refusals=(503,),
        needs=Right.METRICS,
    )
