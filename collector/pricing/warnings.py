"""What a new price book or owner mapping is likely to have wrong, judged by what the ledger has seen.

Nothing here refuses a file: a price may come before the card, and a rule before the team.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from collector.ledger.database import Session
from collector.pricing.attributes import holder_attributes
from collector.pricing.scopes import contract_warnings, payer_warnings
from gpuledger.accounting.intervals import Interval, gaps
from gpuledger.accounting.ownership import OwnerMap, attributes_used, meets
from gpuledger.accounting.periods import iso, parse_instant
from gpuledger.accounting.pricebook import NOBODY, PriceBook, Priced, PriceEntry, applies
from gpuledger.accounting.terms import HOURS_PER_MONTH
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR
from gpuledger.accounting.validity import Validity

MAX_HOLDERS: Final = 100_000  # the newest: an import is not to wait for a year of pods
_LAST_US: Final = parse_instant("9998-01-01")
_MONTHS_DIFFER_US: Final = 3 * US_PER_DAY  # calendar months from the mean ones, over any number of them
SHOWN: Final = 10  # of each kind of warning; the rest is counted


def price_warnings(session: Session, book: PriceBook) -> list[str]:
    """Return where known devices have no price, or one of zero, and which entries speak of none of them."""
    regions = {row["region"] for row in session.execute("carbon_regions").to_pylist()}
    dark = [
        f'price entry {number}: no carbon intensity of the region "{entry.carbon_region}" is known'
        for number, entry in enumerate(book.entries, 1)
        if entry.carbon_region and entry.carbon_region not in regions
    ]
    free = [
        f"price entry {number} ({entry.describe()}) has a rate of zero: what it prices costs nothing"
        for number, entry in enumerate(book.entries, 1)
        if not entry.rate_quanta
    ]
    worn = [text for number, entry in enumerate(book.entries, 1) for text in _overdue(number, entry)]
    return [
        *_few(free, "entries without a cost"),
        *_few(dark, "regions"),
        *_few(worn, "entries"),
        *_few(contract_warnings(session, book), "contracts"),
        *_few(payer_warnings(session, book), "entries of owners"),
        *_device_warnings(session, book),
    ]


def _overdue(number: int, entry: PriceEntry) -> Iterator[str]:
    """Say where an entry goes on charging capital cost after its months are over."""
    months = entry.terms.depreciation_months if entry.terms else None
    if months is None or entry.from_us is None:
        return
    end_us = entry.from_us + months * HOURS_PER_MONTH * US_PER_HOUR
    if end_us >= _LAST_US:
        return
    if entry.to_us is None or entry.to_us > end_us + _MONTHS_DIFFER_US:
        day = iso(int(end_us))[:10]
        yield f"price entry {number} charges capital cost after its {months} months are over: end it near {day}"


def _device_warnings(session: Session, book: PriceBook) -> list[str]:
    seen = session.execute("price_seen").to_pylist()
    if not seen:
        return []
    kinds = [Priced(**{name: row[name] for name in Priced._fields}) for row in seen]
    holes = [hole for kind, row in zip(kinds, seen, strict=True) for hole in _holes(book, kind, row)]
    unused = [number for number, entry in enumerate(book.entries, 1) if not any(applies(entry, kind) for kind in kinds)]
    shown = [_unused(number, book.entries[number - 1], kinds) for number in unused[:SHOWN]]
    return [*_few(holes, "gaps"), *shown, *_rest(len(unused), "entries without a device")]


def owner_warnings(session: Session, rules: OwnerMap) -> list[str]:
    """Return which rules match none of the holders that the ledger knows, all of them, or never come to speak."""
    used = attributes_used(rules.rules)
    seen = {
        tuple(sorted((name, value) for name, value in attributes.items() if name in used))
        for row in session.execute("owner_seen", {"max_holders": MAX_HOLDERS}).to_pylist()
        for attributes in _over_time(rules, holder_attributes(row))
    }
    if not seen:
        return []
    matched: Counter[int] = Counter()
    reached: set[int] = set()
    for holder in seen:
        mine = _matching(rules, dict(holder))
        matched.update(mine)
        reached.update(_tried(rules, mine))
    return _few(
        [text for number in range(len(rules.rules)) for text in _rule(rules, number, matched, reached, len(seen))]
    )


def _holes(book: PriceBook, kind: Priced, row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the open times in which devices of a kind existed and no entry applies."""
    if row["from_us"] >= row["until_us"]:
        return
    whole = Interval(row["from_us"], row["until_us"])
    priced = [
        Interval(
            whole.start_us if entry.from_us is None else entry.from_us,
            whole.end_us if entry.to_us is None else entry.to_us,
        )
        for entry in book.entries
        if applies(entry, kind) and entry.owner == NOBODY and not entry.contract
    ]
    for hole in gaps(priced, whole):
        yield f"{_kind(kind)} has no price from {iso(hole.start_us)} until {iso(hole.end_us)}: that time is unpriced"


def _kind(kind: Priced) -> str:
    scope = {"MIG profile": kind.mig_profile, "pool": kind.pool, "cluster": kind.cluster}
    return ", ".join([f'"{kind.model}"', *(f'{name} "{value}"' for name, value in scope.items() if value)])


def _unused(number: int, entry: PriceEntry, kinds: list[Priced]) -> str:
    near = difflib.get_close_matches(entry.model, sorted({kind.model for kind in kinds}), n=1)
    meant = f': did you mean "{near[0]}"?' if near and near[0] != entry.model else ""
    return f"price entry {number} ({entry.describe()}) matches no device that the ledger knows{meant}"


def _over_time(rules: OwnerMap, attributes: dict[str, str]) -> Iterator[Mapping[str, str]]:
    """Yield what is known of a holder, once for each place that its user has had."""
    places = rules.directory.of(attributes.get("user", ""))
    if not places:
        yield attributes
    for place in places:
        yield rules.known(attributes, 0 if place.from_us is None else place.from_us)


def _matching(rules: OwnerMap, attributes: dict[str, str]) -> list[int]:
    return [number for number, rule in enumerate(rules.rules) if meets(rule, attributes)]


def _tried(rules: OwnerMap, matching: list[int]) -> Iterator[int]:
    """Yield the matching rules that may decide at some time: up to the first one that always holds."""
    for number in matching:
        yield number
        if rules.rules[number].validity == Validity():
            return


def _rule(rules: OwnerMap, number: int, matched: Counter[int], reached: set[int], holders: int) -> Iterator[str]:
    name = f"owner rule {number + 1} (team {rules.rules[number].owner.team})"
    last_of_several = 0 < number == len(rules.rules) - 1
    if not matched[number]:
        yield f"{name} matches no holder that the ledger knows"
    elif number not in reached:
        yield f"{name} never applies: rules before it match all of its holders"
    elif matched[number] == holders > 1 and not last_of_several:
        yield f"{name} matches every holder that the ledger knows"


def _few(found: list[str], name: str = "rules") -> list[str]:
    return [*found[:SHOWN], *_rest(len(found), name)]


def _rest(count: int, name: str) -> list[str]:
    return [f"and {count - SHOWN} more {name}"] if count > SHOWN else []
