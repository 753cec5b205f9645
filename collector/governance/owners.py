"""Nodes of the organisation by name: a team, a department or the whole, to which budgets and quotas are given."""

from __future__ import annotations

import difflib
from typing import Final

from collector.ledger.database import Session
from gpuledger.errors import ConfigError

LEVELS: Final = ("organisation", "department", "team")


def known_nodes(session: Session) -> dict[str, dict[str, str]]:
    """Return all nodes that charges, invoices and the owner mapping know, by their path, each with its levels.

    A level that is not known is not in the path: `acme/research/vision`, `acme/research`, `acme`; `vision` alone.
    A limited session knows those that it sees the whole of.
    """
    found: dict[str, dict[str, str]] = {}
    for row in session.execute("entry_owners").to_pylist():
        levels = [(level, row[level]) for level in LEVELS if row[level]]
        for depth in range(1, len(levels) + 1):
            found.setdefault("/".join(name for _, name in levels[:depth]), dict(levels[:depth]))
    seen = session.seen
    if seen is None:
        return found
    return {path: node for path, node in found.items() if seen.owner(*(node.get(level, "") for level in LEVELS))}


def find_node(session: Session, text: str) -> str:
    """Return the node that `text` names, in full: by its path, or by the end of it where only one ends so.

    Raises ConfigError where there is none, or are several: nothing is granted to a misspelt team.
    """
    wanted, known = text.strip().strip("/"), known_nodes(session)
    if wanted in known:
        return wanted
    found = sorted(node for node in known if wanted and f"/{node}".endswith(f"/{wanted}"))
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f'"{wanted}" is several owners', hint=f"one of: {', '.join(found)}")
    near = difflib.get_close_matches(wanted, sorted(known), n=1)
    raise ConfigError(
        f'no owner is called "{wanted[:80]}"',
        hint=f'did you mean "{near[0]}"?' if near else "name one of the owner mapping: organisation/department/team",
    )
