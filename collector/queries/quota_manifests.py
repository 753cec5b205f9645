"""Quotas as manifests of a Kubernetes cluster: what its own schedulers are to keep to, and what they cannot."""

from __future__ import annotations

from typing import Final

import msgspec

from collector.enforcement.kueue import kueue_manifests
from collector.enforcement.namespaces import namespaces_of
from collector.enforcement.resource_quotas import resource_quotas
from collector.enforcement.yaml_text import documents
from collector.governance.effects import effects_at
from collector.governance.quota_books import known_models, newest_quotas
from collector.ledger.store import Ledger
from collector.pricing.stored import newest_owners
from gpuledger.accounting.ownership import OwnerMap
from gpuledger.accounting.periods import iso
from gpuledger.accounting.quotas import DEVICES

TARGETS: Final = {"kueue": kueue_manifests, "resource-quota": resource_quotas}


class QuotaManifests(msgspec.Struct, frozen=True):
    """YAML documents to apply, and what of the quotas they do not say; both are in the text, the notes as comments."""

    version: int
    target: str
    objects: int
    text: str
    notes: list[str]


def quota_manifests(ledger: Ledger, *, target: str, cluster: str) -> QuotaManifests:
    """Return the manifests of the quotas of GPUs that hold now, for one cluster where owner rules ask which."""
    now_us = ledger.now_us()
    with ledger.snapshot() as session:
        stored = newest_quotas(session, ledger.calendar.days)
        owners = newest_owners(session)
        models = known_models(session)
        seen = [row["namespace"] for row in session.execute("quota_namespaces").to_pylist()]
        raises = [each for each in effects_at(session, now_us) if each.kind == "quota"]
    valid = [each for each in stored.quotas if each.validity.holds_at(now_us)]
    devices = [each for each in valid if each.lane.of == DEVICES]
    namespaces = namespaces_of(owners.rules if owners else OwnerMap([]), seen, cluster, now_us)
    objects, notes = TARGETS[target](devices, models, namespaces)
    notes += [
        f"{each.owner} ({each.lane.model}): left out, GPU-hours of a {each.lane.period} are for gpuledger's admission"
        for each in valid
        if each.lane.of != DEVICES
    ]
    notes += [
        f"approval {each.approval_id}: its raise of {each.owner} until {iso(each.to_us)} is not in it"
        for each in raises
    ]
    return QuotaManifests(
        stored.version.number, target, len(objects), _text(stored.version.number, notes) + documents(objects), notes
    )


def _text(version: int, notes: list[str]) -> str:
    """Return the comments that stand before the documents."""
    lines = [f"# Made by gpuledger of version {version} of its quota book: change the book, not this file."]
    if notes:
        lines += ["# Not as in the book:", *(f"# - {each}" for each in notes)]
    return "\n".join([*lines, ""])
