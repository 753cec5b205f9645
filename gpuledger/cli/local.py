"""A ledger opened in this process: what waits is rated first, then it answers as a collector would."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import pyarrow as pa

from collector.access.tokens import TokenBook
from collector.api.access import NewToken, TokenRequest, listed, row, wanted_by
from collector.api.asking import ask
from collector.api.bodies import parse_request
from collector.api.books import BILLED, IMPORTING
from collector.api.changes import find_change
from collector.api.parameters import read_parameters
from collector.api.questions import OWNER_CHECKS, QUESTIONS, RULES_CHECK, Question
from collector.audit.actor import act_as
from collector.governance.guarding import close_period_by_rule
from collector.governance.rulebooks import read_rules
from collector.imports.apply import apply_import
from collector.imports.payload import Applied, JobImport
from collector.ledger.calendar import CalendarChange
from collector.ledger.store import Ledger
from collector.pricing.files import parse_owner_map
from collector.queries.book_trials import try_book
from collector.queries.budgets import try_budgets
from collector.queries.quota_standing import try_quotas
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, parse_period
from gpuledger.cli.sources import Document, media_type, read_book

_FORMATS: Final[dict[str, Literal["toml", "csv"]]] = {"application/toml": "toml", "text/csv": "csv"}
_TRYING: Final[dict[str, Callable[..., msgspec.Struct]]] = {"budgets": try_budgets, "quotas": try_quotas}
_CHECKS: Final = {check.name: check for check in OWNER_CHECKS}
_QUESTIONS: Final = {question.name: question for question in QUESTIONS}


class LocalSource:
    """A folder that no collector has open."""

    def __init__(self, directory: Path) -> None:
        self._ledger = Ledger.open(directory)
        act_as(_user())
        self._rated = False

    def query(self, name: str, params: Mapping[str, str]) -> Document:
        """Return an answer as the collector's JSON has it."""
        question = _QUESTIONS[name]
        return _plain(ask(self._ledger, question, self._values(question, params), self._rate))

    def table(self, name: str, params: Mapping[str, str]) -> pa.Table:
        """Return the rows of an answer that has a table."""
        question = _QUESTIONS[name]
        assert question.table, f"{name} is no table"
        self._rate()
        return question.table(self._ledger, **self._values(question, params))

    def import_book(self, kind: str, path: Path) -> Document:
        """Import a price book, an owner mapping, a policy book or a directory of people."""
        content, as_format = read_book(path), _FORMATS[media_type(path)]
        self._rated = False
        now_us = self._ledger.now_us()
        return _plain(IMPORTING[kind](self._ledger, content, as_format, source=path.name, imported_us=now_us))

    def try_book(self, kind: str, path: Path) -> Document:
        """Import a book into a ledger on trial."""
        content, as_format = read_book(path), _FORMATS[media_type(path)]
        if kind in _TRYING:
            return _plain(_TRYING[kind](self._ledger, content, as_format, source=path.name))
        return _plain(try_book(self._ledger, BILLED[kind], content, as_format, source=path.name))

    def check_owners(self, check: str, path: Path, params: Mapping[str, str]) -> Document:
        """Hold an owner mapping against the ledger."""
        question = _CHECKS[f"owners/{check}"]
        rules = parse_owner_map(read_book(path), _FORMATS[media_type(path)], path.name)
        if question.rated:
            self._rate()
        return _plain(question.ask(self._ledger, rules, **self._values(question, params)))

    def try_rules(self, path: Path, params: Mapping[str, str]) -> Document:
        """Hold a rule book against recorded decisions."""
        book = read_rules(read_book(path), _FORMATS[media_type(path)], path.name)
        return _plain(RULES_CHECK.ask(self._ledger, book, **self._values(RULES_CHECK, params)))

    def rate(self, period: str, *, apply: bool) -> Document:
        """Rate what waits; the cost of `period` before and after tells what changed."""
        pending = self._ask("status", {})["pending_hours"]
        before = self._ask("chargeback", {"period": period})
        if apply:
            rate_dirty(self._ledger)
        after = self._ask("chargeback", {"period": period}) if apply else before
        return {
            "period": after["period"],
            "currency": after["currency"],
            "applied": apply,
            "pending_hours": pending,
            "cost_before": before["total"]["cost"],
            "cost_after": after["total"]["cost"] if apply else None,
        }

    def set_calendar(self, zone: str | None, grace_hours: int | None) -> None:
        """Keep a new billing calendar in the ledger."""
        self._ledger.change_calendar(CalendarChange(zone, grace_hours))

    def close_period(self, period: str, *, by: str, exception: str) -> Document:
        """Close a billing period."""
        self._rated = False
        return _plain(close_period_by_rule(self._ledger, self._period(period), by=by, exception=exception))

    def change(self, path: str, asked: Document) -> Document:
        """Dispute, adjust, ask for or decide something."""
        self._rated = False
        found, number = find_change(path)
        body = parse_request(msgspec.json.encode(asked), found.takes, found.example)
        return _plain(found.do(self._ledger, number, body))

    def import_jobs(self, chunk: JobImport) -> Applied:
        """Book one chunk."""
        self._rated = False
        return apply_import(self._ledger, chunk)

    def tokens(self) -> Document:
        """Return all tokens."""
        return _plain(listed(TokenBook(self._ledger), self._ledger.now_us()))

    def create_token(self, asked: Document) -> Document:
        """Make one."""
        request = msgspec.convert(asked, TokenRequest)
        secret, made = TokenBook(self._ledger).create(wanted_by(self._ledger, request))
        return _plain(NewToken(secret, row(made, self._ledger.now_us())))

    def revoke_token(self, number: int, why: str) -> Document:
        """End one."""
        return _plain(row(TokenBook(self._ledger).revoke(number, why), self._ledger.now_us()))

    def close(self) -> None:
        """Release the ledger."""
        self._ledger.close()

    def _rate(self) -> None:
        if not self._rated:
            rate_dirty(self._ledger)
            self._rated = True

    def _ask(self, name: str, params: Mapping[str, str]) -> Document:
        """Answer with what is rated already."""
        question = _QUESTIONS[name]
        return _plain(ask(self._ledger, question, self._values(question, params), lambda: None))

    def _values(self, question: Question, params: Mapping[str, str]) -> dict[str, Any]:
        return read_parameters(question.parameters, params, self._ledger.calendar.days)

    def _period(self, text: str) -> Period:
        return parse_period(text, self._ledger.calendar.days)


def _plain(answer: msgspec.Struct) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(answer)
    return document


def _user() -> str:
    """Return who runs this, as the audit log names them."""
    try:
        return getpass.getuser()
    except OSError:
        return f"user {os.getuid()}"  # an account that has no name
