"""What gres.conf and slurm.conf say about the GPUs of one node. Pure; after gres.conf(5) and slurm.conf(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from agent.holders.slurm.hostlist import contains, expand

_PAIR: Final = re.compile(r"""(\w+)\s*\+?=\s*("[^"]*"|'[^']*'|\S+)""")
_COUNT: Final = re.compile(r"(\d{1,15})([KMGTP]?)", re.IGNORECASE)
_SUFFIXES: Final = "KMGTP"
DETECTS: Final = frozenset({"nvml", "nvidia", "rsmi", "rocm", "oneapi", "off"})


class GresRecord(NamedTuple):
    """One line of gres.conf. `files` are one device each, or with `is_one_device` all of one (a MIG instance)."""

    name: str  # gpu, shard, mps
    type: str = ""
    files: tuple[str, ...] = ()
    number: int | None = None
    is_one_device: bool = False
    uuid: str = ""


class GresConf(NamedTuple):
    """What gres.conf says of one node, in its order."""

    records: tuple[GresRecord, ...] = ()
    detect: str = ""  # nvml, nvidia, off, ...; empty: not said

    def named(self, name: str) -> tuple[GresRecord, ...]:
        """Return the records of one kind of resource."""
        return tuple(record for record in self.records if record.name == name)


class NodeGres(NamedTuple):
    """One resource of `Gres=` in the node's line of slurm.conf."""

    name: str
    type: str
    number: int


def parse_gres_conf(text: str, node: str) -> GresConf:
    """Return what gres.conf says of `node`. Raises ValueError on a line that Slurm would not take either."""
    records: list[GresRecord] = []
    detect = ""
    for line in _lines(text):
        fields = _fields(line)
        if "nodename" in fields and not contains(fields["nodename"], node):
            continue
        detect = fields.get("autodetect", detect).lower()
        if "name" in fields:
            records.append(_record(fields))
    if detect and detect not in DETECTS:
        raise ValueError(f"AutoDetect={detect} is not known")
    return GresConf(tuple(records), detect)


def parse_node_gres(text: str, node: str) -> tuple[NodeGres, ...] | None:
    """Return `Gres=` of the node's line in slurm.conf, in its order; None where no line names the node."""
    default = ""
    found: str | None = None
    for line in _lines(text):
        fields = _fields(line)
        name = fields.get("nodename")
        if name is None:
            continue
        if name.upper() == "DEFAULT":
            default = fields.get("gres", default)
        elif contains(name, node):
            found = fields.get("gres", default)
    return None if found is None else parse_gres(found)


def parse_gres(text: str) -> tuple[NodeGres, ...]:
    """Return the resources in `gpu:h100:3(S:0-1),shard:16`."""
    found: list[NodeGres] = []
    for item in re.sub(r"\([^)]*\)", "", text).split(","):
        name, *words = [word for word in item.strip().split(":") if word.lower() != "no_consume"]
        if not name or name.lower() == "(null)":
            continue
        count = parse_count(words.pop()) if words and _COUNT.fullmatch(words[-1]) else 1
        found.append(NodeGres(name.lower(), ":".join(words).lower(), count))
    return tuple(found)


def parse_count(text: str) -> int:
    """Return a count; K, M, G, T and P stand for powers of 1024. Raises ValueError on anything else."""
    found = _COUNT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:20]!r} is not a count")
    power = _SUFFIXES.index(found[2].upper()) + 1 if found[2] else 0
    factor: int = 1024**power
    return int(found[1]) * factor


def includes(text: str) -> tuple[str, ...]:
    """Return the files that `Include` lines name."""
    words = [line.split(None, 1) for line in _lines(text)]
    return tuple(pair[1].strip() for pair in words if len(pair) == 2 and pair[0].lower() == "include")


def _record(fields: dict[str, str]) -> GresRecord:
    files = fields.get("multiplefiles") or fields.get("file") or fields.get("files") or ""
    return GresRecord(
        name=fields["name"].lower(),
        type=fields.get("type", "").lower(),
        files=expand(files) if files else (),
        number=parse_count(fields["count"]) if "count" in fields else None,
        is_one_device="multiplefiles" in fields,
        uuid=fields.get("uuid", ""),
    )


def _fields(line: str) -> dict[str, str]:
    return {name.lower(): value.strip("\"'") for name, value in _PAIR.findall(line)}


def _lines(text: str) -> Iterator[str]:
    """Yield lines without comments; a backslash at the end joins the next line."""
    for line in re.sub(r"\\[ \t]*\r?\n", " ", text).splitlines():
        bare = re.sub(r"(?<!\\)#.*", "", line).strip()
        if bare:
            yield bare
