"""Errors as RFC 9457 problem documents, each with a hint and a stable code."""

from __future__ import annotations

import http
import logging
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from collector.access.oidc import IssuerError
from collector.access.refusals import EnrolmentError, NotAllowedError, NotKnownError, TooOftenError
from collector.commit import RETRY_AFTER_S, OverloadError
from collector.ledger.intake import BatchResult
from collector.periods.closing import PeriodError
from collector.periods.entries import EntryError
from gpuledger.errors import (
    AdmissionError,
    BudgetBookError,
    ConfigError,
    GpuLedgerError,
    ImportFileError,
    LedgerError,
    OwnerMappingError,
    PolicyBookError,
    PriceBookError,
    QuotaBookError,
    RuleBookError,
    ShareBookError,
    WireError,
)

MEDIA_TYPE: Final = "application/problem+json"
_SEE: Final = "see /openapi.json for what there is"
_log: Final = logging.getLogger(__name__)
_WIRE_STATUS: Final = {"too_large": 413, "conflict": 409}  # any other code is 422
_STATUS: Final[tuple[tuple[type[GpuLedgerError], int, str], ...]] = (
    (NotKnownError, 401, "unauthorized"),
    (NotAllowedError, 403, "forbidden"),
    (IssuerError, 503, "issuer"),
    (TooOftenError, 429, "too_often"),
    (EnrolmentError, 409, "enrolment"),
    (OverloadError, 503, "overload"),
    (PeriodError, 409, "period"),
    (EntryError, 409, "entry"),
    (LedgerError, 503, "ledger"),
    (AdmissionError, 400, "admission"),
    (ConfigError, 400, "parameter"),
    (PriceBookError, 422, "price_book"),
    (OwnerMappingError, 422, "owner_mapping"),
    (ShareBookError, 422, "share_book"),
    (PolicyBookError, 422, "policy_book"),
    (RuleBookError, 422, "rule_book"),
    (BudgetBookError, 422, "budget_book"),
    (QuotaBookError, 422, "quota_book"),
    (ImportFileError, 422, "import"),
)


class Problem(msgspec.Struct, frozen=True):
    """What went wrong with a request (RFC 9457, section 3), its `code` for programs and its `hint` for people."""

    type: str
    title: str
    status: int
    detail: str
    hint: str = ""
    code: str = ""


def problem(status: int, code: str, detail: str, hint: str = "") -> Problem:
    """Return the document of one kind of problem."""
    return Problem(f"urn:gpuledger:problem:{code}", http.HTTPStatus(status).phrase, status, detail, hint, code)


def refusal(result: BatchResult) -> Problem:
    """Return the problem of a batch that is in quarantine now."""
    return problem(_WIRE_STATUS.get(result.code, 422), result.code, result.detail, result.hint)


def respond(found: Problem, retry_after_s: int | None = None) -> Response:
    """Return the answer that carries a problem."""
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s is not None else None
    return Response(msgspec.json.encode(found), found.status, headers, MEDIA_TYPE)


async def on_ledger_error(_request: Request, error: Exception) -> Response:
    """Answer an error of ours."""
    assert isinstance(error, GpuLedgerError)
    if isinstance(error, WireError):
        return respond(problem(_WIRE_STATUS.get(error.code, 422), error.code, error.message, error.hint))
    for kind, status, code in _STATUS:
        if isinstance(error, kind):
            retry = getattr(error, "retry_after_s", RETRY_AFTER_S) if status in (429, 503) else None
            answer = respond(problem(status, code, error.message, error.hint), retry)
            if status == 401:
                answer.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, 11.6.1
            return answer
    _log.error("a request failed", exc_info=error)
    return respond(problem(500, "fault", error.message, error.hint))


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what routing refuses: an unknown path, a method that is not offered."""
    assert isinstance(error, HTTPException)
    hints = {406: "ask for one of these in Accept", 404: _SEE, 405: _SEE}
    codes = {404: "not_found", 405: "method", 406: "not_acceptable", 413: "too_large"}
    found = problem(
        error.status_code,
        codes.get(error.status_code, "request"),
        f"{request.method} {request.url.path}: {error.detail}",
        hints.get(error.status_code, ""),
    )
    answer = respond(found)
    answer.headers.update(error.headers or {})
    return answer


async def on_fault(_request: Request, error: Exception) -> Response:
    """Answer what nobody foresaw; the details are for the log, not for the caller."""
    return respond(problem(500, "fault", f"the collector failed: {type(error).__name__}", "see the collector's log"))
