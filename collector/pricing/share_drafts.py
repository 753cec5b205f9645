"""Quotas that schedulers have made into a share file for a person to review: Kueue's ClusterQueues, Slurm's accounts.

- Kueue: the JSON of `kubectl get clusterqueues -o json` (`kueue.x-k8s.io`, v1beta1 and v1beta2). Of each queue, flavor
  and GPU resource: `nominalQuota`, `lendingLimit`, and whether it has a cohort to lend in.
- Slurm: the text of `sacctmgr --parsable2 show assoc format=Cluster,Account,User,Partition,GrpTRES`. Of each account:
  `gres/gpu` or `gres/gpu:TYPE` in GrpTRES.

What cannot be a share is said, never left out in silence.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from collector.pricing.share_files import gpu_parts_of
from gpuledger.errors import ShareBookError

SOURCES: Final = ("kueue", "slurm")
KUEUE: Final = "kueue.x-k8s.io/"
WHOLE_GPU: Final = ("nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915")
_MIG: Final = re.compile(r"nvidia\.com/mig-[0-9]+g\.[0-9]+gb")
_GRES: Final = re.compile(r"gres/gpu(?::([A-Za-z0-9_.-]+))?=(-?[0-9]+)")
_COLUMNS: Final = ("Cluster", "Account", "User", "Partition", "GrpTRES")
_ASK: Final = "sacctmgr --parsable2 show assoc format=Cluster,Account,User,Partition,GrpTRES"


class Draft(NamedTuple):
    """A share file to review, how many shares it has, and what did not become one, each with its place and why."""

    text: str
    shares: int
    left_out: list[str]


def draft_shares(content: bytes, source: str, kind: str) -> Draft:
    """Return the shares of what a scheduler says. Raises ShareBookError where that is not what `kind` writes."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ShareBookError(f"{source}: not UTF-8 text", hint=_hint(kind)) from error
    found = list(_kueue(text, source) if kind == "kueue" else _slurm(text, source))
    entries = [each for each in found if isinstance(each, dict)]
    left_out = [each for each in found if isinstance(each, str)]
    if not entries:
        why = f": {left_out[0]}" if left_out else ""
        raise ShareBookError(f"{source}: no quota of GPUs in it{why}", hint=_hint(kind))
    return Draft(_toml(entries, source, left_out), len(entries), left_out)


def _hint(kind: str) -> str:
    wanted = "kubectl get clusterqueues -o json" if kind == "kueue" else _ASK
    return f"give the output of: {wanted}"


def _kueue(text: str, source: str) -> Iterator[dict[str, Any] | str]:
    try:
        document = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ShareBookError(f"{source}: not JSON: {error}", hint=_hint("kueue")) from error
    items = document.get("items", [document]) if isinstance(document, dict) else document
    queues = [
        item
        for item in (items if isinstance(items, list) else [])
        if isinstance(item, dict)
        and item.get("kind") == "ClusterQueue"
        and str(item.get("apiVersion")).startswith(KUEUE)
    ]
    for queue in queues:
        yield from _queue(queue, source)


def _queue(queue: dict[str, Any], source: str) -> Iterator[dict[str, Any] | str]:
    try:
        name, spec = queue["metadata"]["name"], queue["spec"]
        cohort = spec.get("cohortName") or spec.get("cohort") or ""
        quotas = [
            (flavor["name"], resource)
            for group in spec.get("resourceGroups", [])
            for flavor in group["flavors"]
            for resource in flavor["resources"]
        ]
        for flavor, resource in quotas:
            where = f"ClusterQueue {name}, flavor {flavor}, {resource['name']}"
            if _MIG.fullmatch(resource["name"]):
                yield f"{where}: {resource['nominalQuota']} MIG instances: write them as parts of a GPU, such as 2/7"
            elif resource["name"] in WHOLE_GPU:
                yield _quota(name, flavor, cohort, resource, where)
    except (KeyError, TypeError, AttributeError) as error:
        raise ShareBookError(f"{source}: a ClusterQueue that is none: {error!r}", hint=_hint("kueue")) from error


def _quota(name: str, flavor: str, cohort: str, resource: dict[str, Any], where: str) -> dict[str, Any] | str:
    nominal, lending = str(resource["nominalQuota"]), resource.get("lendingLimit")
    if not gpu_parts_of(nominal) or (lending is not None and gpu_parts_of(str(lending)) is None):
        return f"{where}: {nominal} GPUs{'' if lending is None else f', lending {lending}'}: no share to lend or use"
    share: dict[str, Any] = {"team": name, "gpus": nominal, "pool": flavor}
    if not cohort or str(lending) == "0":
        share["lends"] = False
    elif lending is not None:
        share["lend_limit"] = str(lending)
    notes = [f"cohort {cohort}" if cohort else "no cohort: it cannot lend"]
    if "borrowingLimit" in resource:
        notes.append(f"the scheduler lets it borrow {resource['borrowingLimit']}")
    return {**share, "#": "; ".join(notes)}


def _slurm(text: str, source: str) -> Iterator[dict[str, Any] | str]:
    reader = csv.DictReader(io.StringIO(text), delimiter="|", quoting=csv.QUOTE_NONE)
    missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise ShareBookError(f"{source}: line 1: no column {', '.join(missing)}", hint=_hint("slurm"))
    for row in reader:
        where = f"line {reader.line_num}: account {row['Account']}"
        if None in row.values():
            raise ShareBookError(f"{source}: {where}: the line has too few fields", hint=_hint("slurm"))
        limits = _GRES.findall(row["GrpTRES"])
        if limits and (row["User"] or row["Partition"]):
            yield f"{where}: a limit of user {row['User'] or '*'} in partition {row['Partition'] or '*'} is no share"
            continue
        typed = [pair for pair in limits if pair[0]]
        for kind, count in typed or limits:
            if int(count) < 1:
                yield f"{where}: {count} GPUs are no share"
                continue
            share = {"team": row["Account"], "gpus": count, "cluster": row["Cluster"]}
            yield {**share, "model": _model(kind), "#": f"of gres type {kind}"} if kind else share


def _model(gres_type: str) -> str:
    """Return a pattern over NVML's names for a type of gres: `h100`, or what AutoDetect makes of the whole name."""
    name = gres_type.upper().replace("_", "?")
    return name if name.startswith(("NVIDIA?", "TESLA?")) else f"NVIDIA {name}*"


def _toml(entries: list[dict[str, Any]], source: str, left_out: list[str]) -> str:
    lines = [
        f"# Shares drafted from {source}. Review the teams (as owner rules name them), pools and models, then:",
        "# gpuledger share import FILE",
        *(f"# not a share: {_printed(line)}" for line in left_out),
    ]
    for entry in entries:
        note = entry.pop("#", "")
        lines += ["", "[[share]]" + (f"  # {_printed(note)}" if note else "")]
        lines += [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in entry.items()]
    return "\n".join([*lines, ""])


def _printed(text: str) -> str:
    """Return a text that stays within its comment."""
    return "".join(each if each.isprintable() else "?" for each in text)
