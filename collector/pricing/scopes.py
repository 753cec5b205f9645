"""What contracts and entries of owners in a new price book are likely to have wrong, by what the ledger knows."""

from __future__ import annotations

import difflib

from collector.ledger.database import Session
from collector.rated_prices import machines_of
from gpuledger.accounting.commitments import covers
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.ownership import Owner
from gpuledger.accounting.pricebook import NOBODY, PriceBook, is_for

_EVER = Interval(0, 2**62)


def contract_warnings(session: Session, book: PriceBook) -> list[str]:
    """Return which contracts cover no device, or have no price, and which entries are for a time without theirs."""
    if not book.contracts:
        return []
    found = []
    machines = machines_of(session, _EVER)
    for contract in book.contracts:
        if machines and not any(covers(contract, machine) for machine in machines):
            found.append(
                f'contract "{contract.name}" ({contract.describe()}) covers no device that the ledger knows:'
                " all of it is short"
            )
        if not any(entry.contract == contract.name for entry in book.entries):
            found.append(
                f'no price entry is for contract "{contract.name}": what it covers costs what other entries say'
            )
    validity = {contract.name: contract.validity for contract in book.contracts}
    found += [
        f'price entry {number} never applies: contract "{entry.contract}" does not run while it is valid'
        for number, entry in enumerate(book.entries, 1)
        if entry.contract and not entry.validity.meets(validity[entry.contract])
    ]
    return found


def payer_warnings(session: Session, book: PriceBook) -> list[str]:
    """Return which entries are for an owner that the ledger has not seen, with the nearest team that it has."""
    if not book.owners:
        return []
    known = [Owner(*(row[name] for name in Owner._fields)) for row in session.execute("rate_owners_known").to_pylist()]
    found = []
    for number, entry in enumerate(book.entries, 1):
        if entry.owner == NOBODY or not known or any(is_for(entry.owner, owner) for owner in known):
            continue
        near = difflib.get_close_matches(entry.team, sorted({owner.team for owner in known}), n=1) if entry.team else []
        meant = f': did you mean team "{near[0]}"?' if near and near[0] != entry.team else ""
        found.append(f"price entry {number} ({entry.describe()}) is for an owner that the ledger has not seen{meant}")
    return found
