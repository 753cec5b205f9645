"""The page of who may do what, made from the table of roles and from the routes themselves."""

from __future__ import annotations

from collections.abc import Iterable

from collector.access.roles import BOUND, GRANTS, MEANS, Right, Role
from collector.api.routes import Route, routes

_HEAD = """# Who may do what

This page is made from the code by `tests/docs/test_access_reference.py` (`pytest --update-golden` writes it). What tokens,
roles and owner nodes are: [docs/concepts/access.md](../concepts/access.md).

## Roles

A dot: the role may. A ring: also where the identity is bound to owner nodes, and then it sees the rows of these only.
All else an identity that is bound may not.

"""

_ROUTES = """
## Endpoints

The right that each needs. *own rows*: identities that are bound to owner nodes ask it, and rows of others do not exist in
their answers; elsewhere they are refused with 403. Without a token 401, but for `nothing`, and on loopback for what a viewer
may (`[access] anonymous`), and for `metrics` as `[access] open_metrics` says.

"""


def page() -> str:
    """Return the whole page."""
    header = ("right", "lets one", *(role.value for role in Role))
    rights = _table(header, ((right.value, MEANS[right], *(_mark(role, right) for role in Role)) for right in Right))
    endpoints = _table(("endpoint", "does", "right", "bound identities"), map(_row, routes()))
    return f"{_HEAD}{rights}{_ROUTES}{endpoints}"


def _mark(role: Role, right: Right) -> str:
    if right not in GRANTS[role]:
        return ""
    return "○" if right in BOUND and role not in (Role.AGENT, Role.JOIN, Role.ADMIN) else "●"


def _row(route: Route) -> tuple[str, ...]:
    seen = {Right.NOTHING: "may", Right.WHO: "may", Right.METRICS: "as `open_metrics` says"}
    bound = seen.get(route.needs, "own rows" if route.needs in BOUND else "")
    return f"`{route.method} {route.path}`", route.means, route.needs.value, bound


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
