"""Advice about waste that was kept, and what it really saved: stored with its audit event, each judged once."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
import pyarrow as pa

from collector.audit.canonical import Value
from collector.audit.log import record
from collector.ledger.store import Ledger
from gpuledger.accounting.money import from_quanta, quanta
from gpuledger.accounting.periods import iso, parse_instant
from gpuledger.accounting.savings import Result, Saving, Stated, saving
from gpuledger.errors import ConfigError

MOST_AT_ONCE: Final = 1_000
_NAMES: Final = ("kind", "reason", "workload", "team", "user_name", "node", "currency", "part_us")
ADVICE: Final = pa.schema([
    ("advice_id", pa.int64()), *((name, pa.string()) for name in (*_NAMES, "low_quanta", "high_quanta")),
])  # fmt: skip
RESULTS: Final = pa.schema([
    ("advice_id", pa.int64()), *((name, pa.string()) for name in ("result", "after_part_us", "saved_quanta")),
])  # fmt: skip


class StatedAdvice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Waste of a period: whose, its time (microseconds x parts of a GPU, as text) and what could be saved of it.

    `low` and `high` are amounts of the request's currency as text, None where some of the time has no price.
    """

    kind: str
    reason: str
    part_us: str
    workload: str = ""
    team: str = ""
    user: str = ""
    node: str = ""
    low: str | None = None
    high: str | None = None


class Followed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the same wasted in the period after advice, which is as long; `still_there`: it held something then."""

    number: int
    part_us: str
    still_there: bool


class AdviceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Advice of a period to keep (ISO 8601, half-open), and what came of earlier advice."""

    period: tuple[str, str]
    currency: str
    advice: list[StatedAdvice] = []
    followed: list[Followed] = []


class AdviceRow(msgspec.Struct, frozen=True):
    """Advice, and what came of it. `result` is None as long as the period after it is not known.

    `saved` is what less waste saved at the prices of before, negative where there was more.
    """

    number: int
    period: tuple[str, str]
    kind: str
    reason: str
    workload: str
    team: str
    user: str
    node: str
    currency: str
    part_us: str
    low: str | None
    high: str | None
    result: str | None
    after_part_us: str | None
    saved: str | None


class KeptAdvice(msgspec.Struct, frozen=True):
    """All advice, the newest period first; the totals are of what has a result and a price, in its currency."""

    rows: list[AdviceRow]
    followed: int
    stated_low: dict[str, str]
    stated_high: dict[str, str]
    saved: dict[str, str]


def keep_advice(ledger: Ledger, asked: AdviceRequest) -> KeptAdvice:
    """Store advice, and judge what was followed; return all of it.

    Advice about what has advice already for a part of that time is not kept again. Raises ConfigError on a period that
    is none, on amounts that are none, and on a result of advice that is not there, has one, or is not due.
    """
    start_us, end_us = (parse_instant(each) for each in asked.period)
    if end_us <= start_us or len(asked.advice) + len(asked.followed) > MOST_AT_ONCE:
        raise ConfigError(
            f"advice of {'..'.join(asked.period)} cannot be kept",
            hint=f"send FROM and TO, and at most {MOST_AT_ONCE} at once",
        )
    with ledger.transaction() as session:
        known = session.execute("advice_all").to_pylist()
        now_us = ledger.now_us()
        results = [_judge(each, known, now_us) for each in asked.followed]
        taken = {_key(row) for row in known if row["to_us"] > start_us and row["from_us"] < end_us}
        first = max((row["advice_id"] for row in known), default=0) + 1
        fresh = [row for row in map(_row, asked.advice) if _key(row) not in taken]
        rows = [{**row, "advice_id": first + n, "currency": asked.currency} for n, row in enumerate(fresh)]
        stamps = {"found_us": now_us}
        if rows:
            table = pa.Table.from_pylist(rows, schema=ADVICE)
            session.execute("advice_insert", {**stamps, "from_us": start_us, "to_us": end_us}, {"new_advice": table})
        if results:
            table = pa.Table.from_pylist(results, schema=RESULTS)
            session.execute("advice_insert_results", stamps, {"new_advice_results": table})
        if rows or results:
            said: dict[str, Value] = {"period": "..".join(asked.period), "kept": len(rows), "followed": len(results)}
            record(session, now_us, "advice.keep", f"advice of {'..'.join(asked.period)}", said)
    return advice(ledger)


def advice(ledger: Ledger) -> KeptAdvice:
    """Return all advice that was kept, with what came of it."""
    found = ledger.execute("advice_all").to_pylist()
    judged = [row for row in found if row["result"] is not None and row["saved_quanta"] is not None]
    return KeptAdvice(
        [_shown(row) for row in found],
        sum(row["result"] is not None for row in found),
        _sums(judged, "low_quanta"),
        _sums(judged, "high_quanta"),
        _sums(judged, "saved_quanta"),
    )


def _judge(followed: Followed, known: Sequence[dict[str, Any]], now_us: int) -> dict[str, Any]:
    row = next((row for row in known if row["advice_id"] == followed.number), None)
    if row is None or row["result"] is not None:
        raise ConfigError(f"advice {followed.number} waits for no result", hint="GET /v1/advice has those that do")
    if 2 * row["to_us"] - row["from_us"] > now_us:
        raise ConfigError(f"the period after advice {followed.number} is not over", hint="ask again when it is")
    stated = Stated(int(row["part_us"]), _whole(row["low_quanta"]), _whole(row["high_quanta"]))
    found: Saving = saving(stated, _amount(followed.part_us), still_there=followed.still_there)
    return {
        "advice_id": followed.number,
        "result": str(Result(found.result)),
        "after_part_us": followed.part_us,
        "saved_quanta": None if found.saved_quanta is None else str(found.saved_quanta),
    }


def _row(stated: StatedAdvice) -> dict[str, Any]:
    if _amount(stated.part_us) == 0 or (stated.low is None) != (stated.high is None):
        raise ConfigError(f"advice about {stated.workload or stated.node} is of no time, or has half a range")
    names = {name: getattr(stated, name) for name in ("kind", "reason", "workload", "team", "node", "part_us")}
    low, high = (None if each is None else str(_quanta(each)) for each in (stated.low, stated.high))
    return {**names, "user_name": stated.user, "low_quanta": low, "high_quanta": high}


def _quanta(text: str) -> int:
    try:
        return quanta(Decimal(text))
    except (ArithmeticError, ValueError) as error:
        raise ConfigError(
            f'"{text}" is no amount of money', hint='such as "12.50", with at most nine decimals'
        ) from error


def _amount(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ConfigError(f'"{text}" is no whole amount of time', hint="microseconds x parts of a GPU, as text")
    return int(text)


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("kind", "workload", "team", "user_name", "node"))


def _shown(row: dict[str, Any]) -> AdviceRow:
    names = {name: row[name] for name in ("kind", "reason", "workload", "team", "node", "currency", "part_us")}
    return AdviceRow(
        number=row["advice_id"],
        period=(iso(row["from_us"]), iso(row["to_us"])),
        user=row["user_name"],
        low=_money(row["low_quanta"]),
        high=_money(row["high_quanta"]),
        result=row["result"],
        after_part_us=row["after_part_us"],
        saved=_money(row["saved_quanta"]),
        **names,
    )


def _sums(rows: Sequence[dict[str, Any]], name: str) -> dict[str, str]:
    sums: dict[str, int] = {}
    for row in rows:
        sums[row["currency"]] = sums.get(row["currency"], 0) + int(row[name])
    return {currency: f"{from_quanta(quanta):.9f}" for currency, quanta in sorted(sums.items())}


def _money(quanta: str | None) -> str | None:
    return None if quanta is None else f"{from_quanta(int(quanta)):.9f}"


def _whole(text: str | None) -> int | None:
    return None if text is None else int(text)
