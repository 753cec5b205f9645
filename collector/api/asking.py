"""Asking a question: what waits is rated first, and what was known at an earlier instant is made again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from collector.api.questions import AS_KNOWN, Question
from collector.ledger.store import Ledger
from collector.periods.as_known import as_known


def ask(ledger: Ledger, question: Question, values: Mapping[str, Any], rate: Callable[[], object]) -> msgspec.Struct:
    """Return the answer to a question with the values of its parameters."""
    rest = dict(values)
    at_us = rest.pop(AS_KNOWN.name, None)
    if at_us is not None:
        with as_known(ledger, at_us) as known:
            return question.ask(known, **rest)
    if question.rated:
        rate()
    return question.ask(ledger, **rest)
