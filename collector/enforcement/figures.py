"""The figures that admission answers from: read from the ledger in the background, frozen, and replaced whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import NamedTuple

from collector.enforcement.gate import ALLOWED, Ruling
from collector.governance.effects import Effect, effects_at
from collector.governance.rulebooks import newest_rules
from collector.ledger.store import Ledger
from collector.pricing.stored import newest_owners
from gpuledger.accounting.ownership import Owner, OwnerMap
from gpuledger.rules.book import RuleBook

Limits = Callable[[Owner | None, str, int, int], Ruling]  # owner, model, parts, instant


def no_limits(_owner: Owner | None, _model: str, _parts: int, _at_us: int) -> Ruling:
    """Allow everything: nobody set a budget or a quota."""
    return ALLOWED


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
