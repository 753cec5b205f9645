"""What an owner mapping that nobody imported yet would move: GPU-hours and cost, from which owner to which."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import msgspec
import pyarrow as pa

from collector.ledger.store import Ledger
from collector.pricing.attributes import holder_attributes
from collector.pricing.stored import newest_directory
from collector.pricing.warnings import owner_warnings
from collector.queries.figures import Span, hours, money, span
from collector.queries.standing import standing
from gpuledger.accounting.ownership import Owner, OwnerMap
from gpuledger.accounting.periods import Period, require_hours
from gpuledger.accounting.validity import Dated, segments

_SPELLS: Final = pa.schema([("start_us", pa.int64()), ("end_us", pa.int64())])


class MoveRow(msgspec.Struct, frozen=True):
    """Time that one owner pays for now and another would: each by team, and in full from the widest level down."""

    from_team: str | None  # None: nobody, it is unattributed
    to_team: str | None
    from_owner: str
    to_owner: str
    gpu_hours: float
    cost: str | None


class OwnerTest(msgspec.Struct, frozen=True):
    """What a mapping would move of the open hours of a period; what stays is counted. Nothing was stored."""

    period: Span
    currency: str | None
    rules: int
    gpu_hours: float
    moved_gpu_hours: float
    rows: list[MoveRow]
    warnings: list[str]


def owner_moves(ledger: Ledger, rules: OwnerMap, period: Period) -> OwnerTest:
    """Return how `rules` differ from what open hours of `period` are charged by. Raises ConfigError off the hour."""
    require_hours(period)
    now = standing(ledger, period)
    with ledger.snapshot() as session:
        newest = newest_directory(session)
        asking = OwnerMap(rules.rules, newest.directory if newest else None)
        dated: list[Dated] = [*asking.rules, *asking.directory.memberships]
        spells = [part._asdict() for part in segments(period.interval, dated)]
        staged = {"owner_spells": pa.Table.from_pylist(spells, schema=_SPELLS)}
        held = session.execute("owner_hours", {"from_us": period.start_us, "to_us": period.end_us}, staged).to_pylist()
        warnings = owner_warnings(session, asking)
    all_part_us = 0
    moves: defaultdict[tuple[Owner | None, Owner | None], list[int]] = defaultdict(lambda: [0, 0])
    for row in held:
        part_us, cost_quanta = int(row["part_us"]), int(row["cost_quanta"])
        all_part_us += part_us
        found = asking.resolve(holder_attributes(_attributes(row)), row["start_us"])
        pair = (_present(row), found.owner if found else None)
        if pair[0] != pair[1]:
            moves[pair][0] += part_us
            moves[pair][1] += cost_quanta
    ordered = sorted(moves.items(), key=lambda item: (-item[1][0], _label(item[0][0]), _label(item[0][1])))
    return OwnerTest(
        period=span(period),
        currency=now.currency,
        rules=len(rules.rules),
        gpu_hours=hours(all_part_us),
        moved_gpu_hours=hours(sum(amounts[0] for amounts in moves.values())),
        rows=[_row(*pair, *amounts, priced=now.currency is not None) for pair, amounts in ordered],
        warnings=warnings,
    )


def _attributes(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in Owner._fields}


def _present(row: dict[str, Any]) -> Owner | None:
    return None if row["team"] is None else Owner(*(row[name] for name in Owner._fields))


def _row(before: Owner | None, after: Owner | None, part_us: int, cost_quanta: int, *, priced: bool) -> MoveRow:
    return MoveRow(
        from_team=before.team if before else None,
        to_team=after.team if after else None,
        from_owner=_label(before),
        to_owner=_label(after),
        gpu_hours=hours(part_us),
        cost=money(cost_quanta) if priced else None,
    )


def _label(owner: Owner | None) -> str:
    return " > ".join(filter(None, owner)) if owner else ""
