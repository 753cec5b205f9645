"""What may be read of somebody's process: the names and patterns that the rules ask for, and nothing else of it.

Environments and command lines hold secrets. What comes out of here is all that the agent ever keeps of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from agent.identity.redaction import looks_secret
from agent.identity.table import CHILD, COMMAND, RuleTable
from agent.identity.unpack import OpenFile, unpacked

ALWAYS_READ: Final = frozenset(
    {
        "SLURM_JOB_ID",
        "SLURM_JOB_ACCOUNT",
        "SLURM_JOB_PARTITION",
        "SLURM_JOB_USER",
        "GPULEDGER_TEAM",
        "GPULEDGER_WORKLOAD",
    }
)  # what a holder is made from, whatever the rules say
MAX_VALUE_LENGTH: Final = 256
_MAX_COMMAND: Final = 8 * 1024


class Vocabulary:
    """The allow-list of one table. `dropped` counts the values that looked like secrets."""

    def __init__(self, table: RuleTable, *, dropped: int = 0) -> None:
        self.dropped = dropped
        asked = table.keys("env")
        self._unpack = table.unpack
        self.names = (asked | ALWAYS_READ) - {
            f"{name}.{field}" for name, how in table.unpack.items() for field in how.fields
        }
        patterns = {
            (condition.fact, capture_key(rule.key, condition.fact, required=required)): condition.pattern
            for rule in table.rules
            for required, conditions in ((True, rule.when), (False, rule.find))
            for condition in conditions
        }
        self._commands = {key: pattern for (fact, key), pattern in patterns.items() if fact == COMMAND}
        self._files = {(fact, key): pattern for (fact, key), pattern in patterns.items() if fact.startswith(CHILD)}
        self.children = frozenset(fact.removeprefix(CHILD) for fact, _ in self._files)  # whose files tell something

    def read_environ(self, block: bytes, open_file: OpenFile = lambda _: None) -> dict[str, str]:
        """Return the allowed variables of `/proc/<pid>/environ`; of two with the same name the first, as libc does.

        `open_file` reads a file as the process sees it, where a variable only names one that has the facts.
        """
        found: dict[str, str] = {}
        for entry in block.split(b"\0"):
            name, equals, value = entry.partition(b"=")
            decoded = name.decode("ascii", "replace")
            if not equals:
                continue
            if decoded in self._unpack:
                for field, text in unpacked(value, self._unpack[decoded], open_file).items():
                    self._keep(found, f"{decoded}.{field}", text)
            elif decoded in self.names:
                self._keep(found, decoded, value.decode("utf-8", "replace"))
        return found

    def read_command(self, line: bytes) -> dict[str, Mapping[str, str]]:
        """Return what the rules' patterns capture in `/proc/<pid>/cmdline`, by `capture_key`; never the line itself."""
        text = line[:_MAX_COMMAND].rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")
        found: dict[str, Mapping[str, str]] = {}
        if not text:
            return found
        for key, pattern in self._commands.items():
            match = pattern.search(text)
            if match is not None:
                found[key] = self._groups(match)
        return found

    def read_file_name(self, child: str, path: str) -> dict[str, Mapping[str, str]]:
        """Return what the rules' patterns capture of the path of a file that a child process has open."""
        found: dict[str, Mapping[str, str]] = {}
        for (fact, key), pattern in self._files.items():
            match = pattern.fullmatch(path) if fact == f"{CHILD}{child}" else None
            if match is not None:
                found[key] = self._groups(match)
        return found

    def _groups(self, match: re.Match[str]) -> dict[str, str]:
        captured: dict[str, str] = {}
        for group, value in match.groupdict(default="").items():
            self._keep(captured, group, value)
        return captured

    def _keep(self, found: dict[str, str], name: str, value: str) -> None:
        if name in found or not value:
            return
        if looks_secret(value):
            self.dropped += 1
        else:
            found[name] = value[:MAX_VALUE_LENGTH]


def capture_key(rule: str, fact: str, *, required: bool) -> str:
    """Return under which key the captures of a rule's pattern over a command or a file are kept."""
    return f"{rule} {'when' if required else 'find'} {fact}"
