"""The file that our prolog leaves for each job: `name=value` lines between a version and an `end`. Pure.

Its name says the job, and once the epilog has run also when it ended: `<job>.job`, `<job>.<end in ns>.ended`.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from agent.holders.slurm.facts import JobFacts, parse_facts

VERSION: Final = "gpuledger-holder 1"
MOST_BYTES: Final = 65_536

_NAME: Final = re.compile(r"([0-9]{1,10})\.(?:job|([0-9]{16,19})\.ended)")
_INSTANT: Final = re.compile(r"[0-9]{16,19}")
_LINE: Final = re.compile(r"([a-z][a-z_]{0,31})=([^\x00-\x1f\x7f]{1,4096})")


class FileName(NamedTuple):
    """What a holder file's name says."""

    job: str
    until_us: int | None  # None: the job runs


class HolderFile(NamedTuple):
    """What a holder file says. `restarts` tells tenancies of a requeued job apart."""

    facts: JobFacts
    since_us: int
    node: str = ""  # as Slurm names it
    restarts: str = ""


def parse_name(name: str) -> FileName | None:
    """Return what the name of a holder file says; None for any other file's."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    return FileName(found[1], int(found[2]) // 1_000 if found[2] else None)


def parse_holder_file(content: bytes) -> HolderFile:
    """Return what a holder file says. Raises ValueError, with the reason, on one that is not whole and sound.

    Names that this version does not know are left to later ones; a name twice, a control character, or a text where a
    number belongs make the file a bad one: nobody is billed by half of it.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    head, *lines = content.decode("utf-8", "replace").split("\n")
    if head != VERSION:
        raise ValueError(f"it begins with {head[:40]!r}, not with {VERSION!r}")
    if lines[-2:] != ["end", ""]:
        raise ValueError("it does not end with `end`: it was cut off")
    said: dict[str, str] = {}
    for line in lines[:-2]:
        found = _LINE.fullmatch(line)
        if found is None or found[1] in said:
            raise ValueError(f"the line {line[:40]!r} is not a new `name=value`")
        said[found[1]] = found[2]
    if not _INSTANT.fullmatch(said.get("start_ns", "")):
        raise ValueError("it says no start_ns")
    facts = parse_facts(said)
    if not facts.job:
        raise ValueError("it says no job")
    return HolderFile(facts, int(said["start_ns"]) // 1_000, said.get("node", ""), said.get("restarts", ""))
