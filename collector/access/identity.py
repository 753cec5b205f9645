"""Who asks: a name for the audit log, a role, and the owner nodes that it is bound to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from collector.access.roles import UNBOUND, WHOLE_BY_DEFAULT, Right, Role, may
from gpuledger.errors import ConfigError

EVERYTHING: Final = "*"
Node = tuple[str, str, str]  # organisation, department, team; an empty end stands for all below
Nodes = tuple[Node, ...]  # none: the whole organisation, and what nobody owns
_DEPTH: Final = 3
MAX_NAME: Final = 100
RESERVED: Final = frozenset({"anonymous", "collector", "unnamed", "unknown"})


class Identity(NamedTuple):
    """Who asks. `agent`: the only agent whose batches it may deliver; `id`: of its token, 0 where it has none."""

    name: str
    role: Role
    nodes: Nodes = ()
    agent: str = ""
    id: int = 0

    @property
    def bound(self) -> bool:
        """Tell whether it sees the rows of some owners only."""
        return bool(self.nodes)

    def may(self, right: Right) -> bool:
        """Tell whether it has a right."""
        return may(self.role, right, bound=self.bound)


ANONYMOUS: Final = Identity("anonymous", Role.VIEWER)  # somebody at the machine that the collector runs on


def parse_role(text: str) -> Role:
    """Return the role of that name. Raises ConfigError where there is none."""
    try:
        return Role(text)
    except ValueError as error:
        raise ConfigError(f'"{text}" is no role', hint=f"one of: {', '.join(Role)}") from error


def parse_nodes(role: Role, texts: Iterable[str]) -> Nodes:
    """Return the owner nodes that texts such as `acme/research/vision` name; `*` is the whole organisation.

    Raises ConfigError on a node that is none, and where a role that must be bound is not.
    """
    given = [text.strip() for text in texts]
    if role in UNBOUND and given not in ([], [EVERYTHING]):
        raise ConfigError(f"{role} is bound to no team", hint="leave the team out")
    if not given and role not in WHOLE_BY_DEFAULT | UNBOUND:
        raise ConfigError(
            f"a {role} is bound to teams", hint='name them as organisation/department/team, or "*" for everything'
        )
    if EVERYTHING in given:
        if len(given) > 1:
            raise ConfigError('"*" is everything already', hint="leave the other teams out")
        return ()
    return tuple(dict.fromkeys(_node(text) for text in given))


def show_nodes(nodes: Nodes) -> list[str]:
    """Return nodes as people write them."""
    return ["/".join(node).rstrip("/") for node in nodes] or [EVERYTHING]


def parse_name(text: str) -> str:
    """Return a name that the audit log can have. Raises ConfigError where it is none."""
    name = text.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable() or name.casefold() in RESERVED:
        raise ConfigError(
            f'"{name[:MAX_NAME]}" is no name for a token', hint=f"at most {MAX_NAME} characters that can be printed"
        )
    return name


def covers(nodes: Nodes, owner: Sequence[str]) -> bool:
    """Tell whether an owner (organisation, department, team, ...) lies under one of the nodes; of none: always."""
    return not nodes or any(
        all(not part or part == own for part, own in zip(node, owner, strict=False)) for node in nodes
    )


def _node(text: str) -> Node:
    parts = text.split("/")
    if not text.strip("/") or len(parts) > _DEPTH or not text.isprintable() or any(p != p.strip() for p in parts):
        raise ConfigError(
            f'"{text}" is no owner', hint="write organisation, organisation/department or organisation/department/team"
        )
    organisation, department, team = [*parts, "", ""][:_DEPTH]
    return organisation, department, team
