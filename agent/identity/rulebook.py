"""The rules in force: the built-in table, and a site's files over it, read again when they change."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from agent.identity.table import RuleTable, compile_table
from agent.identity.vocabulary import Vocabulary
from gpuledger.errors import ConfigError

BUILT_IN: Final = "the built-in table"
_SECTIONS: Final = ("rules", "claims", "unpack")

_log = logging.getLogger(__name__)
_Stamp = tuple[int, int, int] | None


class RuleBook:
    """Holds the table in force and its vocabulary. `generation` grows with each change of the table.

    A file of `paths` may change entries of the built-in table by their names, key by key, switch them off with
    `enabled = false`, or add new ones, which come first within their level or tier; later files come before earlier
    ones. Raises ConfigError at the start where a file cannot be used; later a broken edit keeps the last good table.
    """

    def __init__(self, paths: Iterable[Path] = ()) -> None:
        self._paths = tuple(paths)
        self._stamps = self._look()
        self.generation = 0
        self.rejected = 0  # edits that could not be used
        self.table = load_table(self._paths) if self._paths else built_in()
        self.vocabulary = Vocabulary(self.table)

    def refresh(self) -> bool:
        """Read the files again if one of them changed; return whether the table did."""
        if not self._paths:
            return False
        stamps = self._look()
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        try:
            table = load_table(self._paths)
        except ConfigError as error:
            self.rejected += 1
            _log.error("identity rules stay as they were: %s", error)
            return False
        self.table = table
        self.vocabulary = Vocabulary(table, dropped=self.vocabulary.dropped)
        self.generation += 1
        _log.info("identity rules read again: %d rules, %d claims", len(table.rules), len(table.claims))
        return True

    def label_patterns(self) -> frozenset[str]:
        """Return the labels of pods, their owners and namespaces that rules look at: all that need be kept of them."""
        return self.table.keys("label") | self.table.keys("owner_label") | self.table.keys("namespace_label")

    def annotation_patterns(self) -> frozenset[str]:
        """Return the annotations of pods, their owners and namespaces that rules look at."""
        kinds = ("annotation", "owner_annotation", "namespace_annotation")
        return frozenset().union(*(self.table.keys(kind) for kind in kinds))

    def container_labels(self) -> frozenset[str]:
        """Return the labels of plain containers that rules look at."""
        return self.table.keys("container_label")

    def _look(self) -> tuple[_Stamp, ...]:
        return tuple(_stamp(path) for path in self._paths)


@cache
def built_in() -> RuleTable:
    """Return the table that comes with the agent."""
    return load_table(())


def load_table(paths: Iterable[Path]) -> RuleTable:
    """Return the built-in table with the files at `paths` over it. Raises ConfigError where one cannot be used."""
    merged = tomllib.loads((resources.files("agent.identity") / "rules.toml").read_text("utf-8"))
    sources = {f"{section}.{key}": BUILT_IN for section in _SECTIONS for key in merged.get(section, {})}
    for path in paths:
        _merge(merged, _read(path), sources, str(path))
    return compile_table(merged, sources)


def _read(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="see [identity] rules") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is not TOML: {error}", hint="regular expressions go well in 'single quotes'"
        ) from error
    for section, entries in document.items():
        if section not in _SECTIONS:
            raise ConfigError(f"unknown section [{section}] in {path}", hint=f"known: {', '.join(_SECTIONS)}")
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise ConfigError(
                f"{section} in {path} has no names", hint=f"write [{section}.<name>], each with a name of its own"
            )
    return document


def _merge(merged: dict[str, Any], document: dict[str, Any], sources: dict[str, str], source: str) -> None:
    for section, entries in document.items():
        known = merged.setdefault(section, {})
        changed = {key: {**known.get(key, {}), **entry} for key, entry in entries.items()}
        added = {key: entry for key, entry in changed.items() if key not in known}
        merged[section] = {**added, **known, **{key: entry for key, entry in changed.items() if key in known}}
        sources |= {f"{section}.{key}": source for key in entries}


def _stamp(path: Path) -> _Stamp:
    """Return what changes when a file does: also where an editor, or a ConfigMap, puts another file in its place."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_ino, facts.st_size
