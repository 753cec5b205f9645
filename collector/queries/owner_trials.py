"""Which owner rule applies to a holder and why, and why each of the others does not."""

from __future__ import annotations

import msgspec

from collector.ledger.store import Ledger
from collector.pricing.attributes import holder_attributes
from collector.pricing.stored import newest_directory, newest_owners
from gpuledger.accounting.ownership import OwnerMap, attributes_used
from gpuledger.accounting.periods import iso
from gpuledger.errors import ConfigError


class RuleTrial(msgspec.Struct, frozen=True):
    """One rule (numbered from 1) for a holder that had devices of one pool: whether it decides, and why or why not."""

    cluster: str
    pool: str
    rule: int
    team: str  # as the rule writes it
    applies: bool
    why: str


class HolderOwner(msgspec.Struct, frozen=True):
    """Who pays for a holder's time on devices of one pool; no team where no rule matches."""

    cluster: str
    pool: str
    team: str | None
    project: str
    department: str
    organisation: str
    because: str
    attributes: dict[str, str]


class OwnerExplanation(msgspec.Struct, frozen=True):
    """Who pays for a holder at an instant, and what became of each rule. `version` is None where a file was tried."""

    holder: str
    at: str
    version: int | None
    owners: list[HolderOwner]
    rows: list[RuleTrial]


def owner(ledger: Ledger, *, holder: str, at: int | None = None) -> OwnerExplanation:
    """Return who pays for a holder by the newest mapping; `at` is when, or the last hour in which it held a device.

    Raises ConfigError where there is no such holder, or no mapping.
    """
    with ledger.snapshot() as session:
        newest = newest_owners(session)
    if newest is None:
        raise ConfigError("there is no owner mapping", hint="import one: gpuledger owner import FILE")
    return _explain(ledger, newest.rules, newest.version.number, holder, at)


def try_owner(ledger: Ledger, rules: OwnerMap, *, holder: str, at: int | None = None) -> OwnerExplanation:
    """Return the same by `rules` that nobody imported, with the newest directory. Nothing is stored."""
    with ledger.snapshot() as session:
        newest = newest_directory(session)
    return _explain(ledger, OwnerMap(rules.rules, newest.directory if newest else None), None, holder, at)


def _explain(ledger: Ledger, rules: OwnerMap, version: int | None, holder: str, at: int | None) -> OwnerExplanation:
    found = ledger.execute("owner_holder", {"holder_key": holder}).to_pylist()
    if not found:
        raise ConfigError(
            f'no holder "{holder}" held a device',
            hint="/v1/charges and /v1/usage have holders as the ledger knows them",
        )
    at_us = max(row["last_hour_us"] for row in found) if at is None else at
    owners: list[HolderOwner] = []
    trials: list[RuleTrial] = []
    for row in found:
        attributes = holder_attributes(row)
        owners.append(_owner(rules, attributes, at_us))
        trials += [
            RuleTrial(row["cluster"], row["pool"], trial.rule + 1, rules.rules[trial.rule].owner.team, *trial[1:])
            for trial in rules.trials(attributes, at_us)
        ]
    return OwnerExplanation(holder, iso(at_us), version, owners, trials)


def _owner(rules: OwnerMap, attributes: dict[str, str], at_us: int) -> HolderOwner:
    found = rules.resolve(attributes, at_us)
    known = rules.known(attributes, at_us)
    asked = attributes_used(rules.rules)
    payer = found.owner if found else None
    return HolderOwner(
        cluster=attributes.get("cluster", ""),
        pool=attributes.get("pool", ""),
        team=payer.team if payer else None,
        project=payer.project if payer else "",
        department=payer.department if payer else "",
        organisation=payer.organisation if payer else "",
        because=found.explain() if found else "no rule matches: unattributed",
        attributes={name: value for name, value in sorted(known.items()) if value or name in asked},
    )
