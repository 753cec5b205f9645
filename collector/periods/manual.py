"""Adjustments that somebody enters: kept with who and why until a bill has them, withdrawn as long as none has.

An adjuster puts them onto the next bill, or onto that of the open period that they are for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any, Final, NamedTuple

import pyarrow as pa

from collector.audit.log import record
from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.periods.closed import closed_periods
from collector.periods.entries import EntryError, Payer, amount_quanta, bills_of, find_owner, needed
from collector.queries.figures import money
from gpuledger.accounting.adjustments import MANUAL, Adjustment
from gpuledger.accounting.periods import Period, iso, parse_period, require_hours
from gpuledger.errors import ConfigError

LINES: Final = pa.schema([
    *((name, pa.int64()) for name in ("line", "state", "cost_quanta")),
    ("part_us", pa.decimal128(38, 0)),
    *((name, pa.string()) for name in (
        "because", "organisation", "department", "team", "project", "model", "mig_profile",
    )),
])  # fmt: skip


class EntryLine(NamedTuple):
    """What an entered adjustment adds to the bill of one owner."""

    because: str
    cost_quanta: int
    organisation: str = ""
    department: str = ""
    team: str = ""
    project: str = ""
    model: str = ""
    mig_profile: str = ""
    state: int = 0
    part_us: int = 0


class Entry(NamedTuple):
    """One entered adjustment before it has its number; `span` is the time that it is for, where that was said."""

    by: str
    why: str
    span: tuple[int, int] | None
    lines: Sequence[EntryLine]


def add_adjustment(
    ledger: Ledger, *, owner: str, amount: str, currency: str, by: str, why: str, period: str = "", from_owner: str = ""
) -> int:
    """Enter an amount onto the bill of an owner (negative: a credit); return its number.

    The same is taken from `from_owner`, where one is named. Raises ConfigError where an owner, the amount, the
    currency or the period is not what the ledger can bill, or where nobody says why.
    """
    by = needed("who enters it", by, 'say who does: --by NAME, or "by"')
    why = needed("the reason", why, 'say why: --why TEXT, or "why"; it stands on the bill')
    quanta = amount_quanta(amount)
    with ledger.transaction() as session:
        require_currency(session, currency)
        payer = find_owner(session, owner)
        lines = [EntryLine(f"{why} (entered by {by})", quanta, *payer)]
        if from_owner:
            other = find_owner(session, from_owner)
            if other == payer:
                raise ConfigError(f"{payer} is on both sides", hint="name two owners, or leave --from-owner out")
            lines.append(EntryLine(f"{why} (entered by {by}, the other side of {payer})", -quanta, *other))
        entry = Entry(by, why, _span(session, period, ledger.calendar.days), lines)
        return keep(session, entry, ledger.now_us(), act="adjustment.add")


def withdraw_adjustment(ledger: Ledger, manual_id: int, *, by: str, why: str) -> None:
    """Take back an adjustment that is on no bill yet. Raises EntryError where it is, or was withdrawn before."""
    by = needed("who withdraws it", by, 'say who does: --by NAME, or "by"')
    why = needed("the reason", why, 'say why: --why TEXT, or "why"')
    with ledger.transaction() as session:
        row = next((each for each in entries(session) if each["manual_id"] == manual_id), None)
        if row is None:
            raise ConfigError(f"there is no adjustment {manual_id}", hint="gpuledger adjustment list shows all of them")
        if row["billed_on"]:
            raise EntryError(
                f"adjustment {manual_id} is on the bill of {row['billed_on']}, which is closed",
                hint="enter another one that takes it back",
            )
        if row["withdrawn_us"] is not None:
            raise EntryError(f"adjustment {manual_id} was withdrawn by {row['withdrawn_by']} already")
        at_us = ledger.now_us()
        session.execute("manual_withdraw", {"manual_id": manual_id, "at_us": at_us, "withdrawn_by": by, "why": why})
        record(session, at_us, "adjustment.withdraw", f"adjustment {manual_id}", {"by": by, "why": why})


def keep(session: Session, entry: Entry, at_us: int, *, act: str, about: str = "") -> int:
    """Store an adjustment, and the act that made it; return its number. `about` goes into its reference."""
    manual_id: int = session.execute("manual_next").to_pylist()[0]["manual_id"]
    from_us, to_us = entry.span or (None, None)
    session.execute(
        "manual_insert",
        {
            "manual_id": manual_id,
            "reference": f"adjustment {manual_id}{about}",
            "entered_us": at_us,
            "entered_by": entry.by,
            "why": entry.why,
            "from_us": from_us,
            "to_us": to_us,
        },
    )
    rows = [{"line": number, **line._asdict()} for number, line in enumerate(entry.lines, start=1)]
    table = pa.Table.from_pylist(rows, schema=LINES)
    session.execute("manual_insert_lines", {"manual_id": manual_id}, {"new_manual_lines": table})
    amounts = [
        {"owner": str(Payer(line.organisation, line.department, line.team)), "amount": money(line.cost_quanta)}
        for line in entry.lines
    ]
    record(session, at_us, act, f"adjustment {manual_id}", {"by": entry.by, "why": entry.why, "lines": amounts})
    return manual_id


def entries(session: Session) -> list[dict[str, Any]]:
    """Return all entered adjustments, each with its lines."""
    found: list[dict[str, Any]] = session.execute("manual_entries").to_pylist()
    lines: dict[int, list[EntryLine]] = {row["manual_id"]: [] for row in found}
    for row in session.execute("manual_lines").to_pylist():
        line = EntryLine(**{name: row[name] for name in EntryLine._fields})
        lines[row["manual_id"]].append(line._replace(part_us=int(line.part_us)))
    return [{**row, "lines": lines[row["manual_id"]]} for row in found]


def manual_adjustments(session: Session, period: Period, _before: Sequence[Adjustment]) -> list[Adjustment]:
    """Return the lines of entered adjustments that go onto the bill of `period`: each once, on one bill."""
    waiting = [row for row in entries(session) if not row["billed_on"] and row["withdrawn_us"] is None]
    if not waiting:
        return []
    bills = bills_of(session, period)
    found: list[Adjustment] = []
    for row in waiting:
        span = period.interval if row["from_us"] is None else (row["from_us"], row["to_us"])
        goes = bills.next if row["from_us"] is None else bills.take(row["to_us"])
        if goes:
            found += [
                Adjustment(
                    kind=MANUAL,
                    reference=row["reference"],
                    from_us=span[0],
                    to_us=span[1],
                    corrects=bills.corrects(span[0]),
                    **line._asdict(),
                )
                for line in row["lines"]
            ]
    return found


def require_currency(session: Session, currency: str) -> None:
    """Raise ConfigError where a currency is not the one that the ledger counts in."""
    books = session.execute("price_newest").to_pylist()
    if not books:
        raise ConfigError("there is no price book, so nobody knows the currency", hint="gpuledger price import FILE")
    if currency.strip() != books[0]["currency"]:
        raise ConfigError(
            f'the ledger counts in {books[0]["currency"]}, not in "{currency}"',
            hint="convert the amount; say with which rate in the reason",
        )


def _span(session: Session, text: str, zone: tzinfo) -> tuple[int, int] | None:
    """Return the time that an adjustment is for: a closed period by its label, or one that is open at its end."""
    if not text:
        return None
    closed = closed_periods(session)
    labelled = next((each for each in closed if each.label == text.strip()), None)
    if labelled:
        return labelled.from_us, labelled.to_us
    period = require_hours(parse_period(text, zone))
    known = session.execute("select_reach").to_pylist()
    first_us = min((row["from_us"] for row in known), default=period.end_us)
    end_us = max((each.to_us for each in closed), default=first_us)
    inside = any(each.from_us <= period.start_us and period.end_us <= each.to_us for each in closed)
    if period.end_us <= end_us and not inside:
        raise ConfigError(
            f"{period.label} is neither one closed period nor open: what is known begins {iso(first_us)}",
            hint="gpuledger period list has the periods; leave --period out for the next bill",
        )
    return period.start_us, period.end_us
