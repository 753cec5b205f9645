"""Asking a question: what waits is rated first, and what was known at an earlier instant is made again.

Whoever is bound to owners asks a ledger that has no other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pyarrow as pa

from collector.access.identity import Nodes
from collector.access.refusals import NotAllowedError
from collector.access.scope import limited
from collector.api.questions import AS_KNOWN, Question
from collector.ledger.store import Ledger
from collector.periods.as_known import as_known

WHOLE: Nodes = ()


def ask(
    ledger: Ledger, question: Question, values: Mapping[str, Any], rate: Callable[[], object], nodes: Nodes = WHOLE
) -> msgspec.Struct:
    """Return the answer to a question with the values of its parameters, of the rows of `nodes` or of all."""
    _require_open(question, values, nodes)
    rest = dict(values)
    at_us = rest.pop(AS_KNOWN.name, None)
    if at_us is not None:
        with as_known(ledger, at_us) as known:
            return question.ask(seen_by(known, nodes), **rest)
    if question.rated or nodes:  # what is not rated yet has no owner, and is nobody's
        rate()
    return question.ask(seen_by(ledger, nodes), **rest)


def ask_table(
    ledger: Ledger, question: Question, values: Mapping[str, Any], rate: Callable[[], object], nodes: Nodes = WHOLE
) -> pa.Table:
    """Return the rows of an answer that may have very many of them, of the rows of `nodes` or of all."""
    assert question.table, f"{question.name} is no table"
    _require_open(question, values, nodes)
    rate()
    return question.table(seen_by(ledger, nodes), **values)


def seen_by(ledger: Ledger, nodes: Nodes) -> Ledger:
    """Return the ledger as those see it who are bound to `nodes`: the one place where rows are kept from anybody."""
    return limited(ledger, nodes) if nodes else ledger


def _require_open(question: Question, values: Mapping[str, Any], nodes: Nodes) -> None:
    """Raise NotAllowedError where a choice is made that only the figures of all owners answer."""
    for parameter in question.parameters if nodes else ():
        if parameter.of_all and values[parameter.name] != parameter.read(None):
            raise NotAllowedError(
                f"{parameter.name} other than {parameter.default} follows from what all teams did",
                hint="leave it out, or ask somebody who sees the whole organisation",
            )
