"""Sessions that see the rows of some owners only. What is seen, and how, is in `scope.sql`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa

from collector.ledger.database import Session

SCRIPT: Final = Path(__file__).with_suffix(".sql")
OTHERS: Final = "(about others, too)"
_NODES: Final = "CREATE TEMP TABLE scope_nodes (organisation VARCHAR, department VARCHAR, team VARCHAR)"
_SCHEMA: Final = pa.schema([(name, pa.string()) for name in ("organisation", "department", "team")])
Nodes = Sequence[tuple[str, str, str]]  # organisation, department, team; an empty end stands for all below


class Seen(NamedTuple):
    """What a limited session sees, for figures that follow from everybody's rows and are cut afterwards."""

    nodes: Nodes
    others: tuple[str, ...]  # names of owners who are not seen

    def owner(self, organisation: str, department: str, team: str) -> bool:
        """Tell whether an owner is seen."""
        return any(
            all(part in ("", own) for part, own in zip(node, (organisation, department, team), strict=True))
            for node in self.nodes
        )

    def told(self, words: str) -> str:
        """Return a text, or what stands in its place where it names others."""
        lower = words.lower()
        return OTHERS if any(name.lower() in lower for name in self.others) else words


def limit(session: Session, nodes: Nodes, whole: Session) -> None:
    """Let a session that has run nothing yet see the rows of `nodes` only; `whole` sees all, for what has to."""
    session.script(_NODES, label="scope")
    table = pa.table([pa.array(part, pa.string()) for part in zip(*nodes, strict=True)], schema=_SCHEMA)
    session.execute("scope_insert_nodes", tables={"new_nodes": table})
    session.script(SCRIPT.read_text(encoding="utf-8"), label=SCRIPT.name)
    others = session.execute("scope_names")["name"].to_pylist()
    session.seen, session.whole = Seen(nodes, tuple(others)), whole
