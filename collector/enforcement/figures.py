"""The figures that admission answers from: read from the ledger in the background, frozen, and replaced whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from decimal import Decimal
from typing import NamedTuple

from collector.enforcement.gate import ALLOWED, Ruling, strictest
from collector.governance.effects import Effect, effects_at
from collector.governance.rulebooks import newest_rules
from collector.ledger.store import Ledger
from collector.pricing.stored import newest_owners
from gpuledger.accounting.ownership import Owner, OwnerMap
from gpuledger.rules.book import RuleBook

Promised = Mapping[tuple[Owner, str], int]  # parts by owner and model that were allowed, and are in no usage yet
# Owner, model, parts with those that the owner was promised of it, instant, all promises.
Limits = Callable[[Owner | None, str, int, int, Promised], Ruling]
Known = Callable[[Owner | None, str, Promised], Mapping[str, Decimal]]  # facts about the limits of an owner


def no_limits(_owner: Owner | None, _model: str, _parts: int, _at_us: int, _promised: Promised) -> Ruling:
    """Allow everything: nobody set a budget or a quota."""
    return ALLOWED


def nothing_known(_owner: Owner | None, _model: str, _promised: Promised) -> Mapping[str, Decimal]:
    """Know nothing of limits: rules that ask how full one is do not match."""
    return {}


def all_of(*limits: Limits) -> Limits:
    """Return limits of which the strictest counts."""

    def together(owner: Owner | None, model: str, parts: int, at_us: int, promised: Promised) -> Ruling:
        return strictest([each(owner, model, parts, at_us, promised) for each in limits])

    return together


class Limiting(NamedTuple):
    """What limits an owner, what is known of that, and as of when; None: as of when it is asked for."""

    limits: Limits = no_limits
    known: Known = nothing_known
    as_of_us: int | None = None


class Figures(NamedTuple):
    """What was known at an instant: who owns what, the kinds of devices by their labels, and how limits stand."""

    made_us: int
    owners: OwnerMap
    models: Mapping[str, str]  # NVML's name by the label that Kubernetes has for it
    profiles: Mapping[str, int]  # parts of a GPU
    rules: RuleBook
    zone: tzinfo  # whose hours rules mean
    effects: Sequence[Effect] = ()
    limits: Limits = no_limits
    known: Known = nothing_known


def read_figures(ledger: Ledger) -> Figures:
    """Return the figures as the ledger has them now. Slow: not for the event loop."""
    made_us = ledger.now_us()
    with ledger.snapshot() as session:
        owners = newest_owners(session)
        rules = newest_rules(session)
        effects = effects_at(session, made_us)
        devices = session.execute("admission_devices").to_pylist()
    return Figures(
        made_us,
        owners.rules if owners else OwnerMap([]),
        {as_label(row["model"]): row["model"] for row in devices},
        {row["mig_profile"]: row["parts"] for row in devices if row["mig_profile"]},
        rules.book,
        rules.clock(ledger.calendar.days),
        effects,
    )


def as_label(model: str) -> str:
    """Return NVML's name of a model as GPU feature discovery writes it in `nvidia.com/gpu.product`."""
    return "-".join(model.split())
