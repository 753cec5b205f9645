"""The table of roles: what each may do. Pure, and the source of docs/reference/access.md."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Right(StrEnum):
    """What a route needs of whoever asks. A route that does not say so needs the strictest, ADMINISTER."""

    NOTHING = "nothing"  # health, and this collector's own description
    METRICS = "metrics"
    WHO = "who"
    DELIVER = "deliver"
    ENROL = "enrol"
    START = "start"
    READ = "read"
    READ_ALL = "read-all"
    DISPUTE = "dispute"
    REQUEST = "request"
    DECIDE = "decide"
    BOOKS = "books"
    BILL = "bill"
    AUDIT = "audit"
    ADMINISTER = "administer"


class Role(StrEnum):
    """What an identity is here."""

    AGENT = "agent"
    JOIN = "join"
    SCHEDULER = "scheduler"
    VIEWER = "viewer"
    TEAM_LEAD = "team-lead"
    FINANCE = "finance"
    APPROVER = "approver"
    ADMIN = "admin"


MEANS: Final[dict[Right, str]] = {
    Right.NOTHING: "see whether the process lives and what it offers",
    Right.METRICS: "read the collector's metrics, which have the cost of every team",
    Right.WHO: "ask who one is here",
    Right.DELIVER: "deliver batches of usage; an agent only its own",
    Right.ENROL: "register the token of a new agent",
    Right.START: "ask whether work may start, as schedulers do",
    Right.READ: "read figures, bills and devices: of the owner nodes one is bound to, or all",
    Right.READ_ALL: "read what is nobody's in particular: proofs, whole books, shares, status of agents",
    Right.DISPUTE: "dispute what one sees, and withdraw that",
    Right.REQUEST: "ask for approval, and withdraw that",
    Right.DECIDE: "decide disputes, and requests for approval in the roles that the rule book gives one's name",
    Right.BOOKS: (
        "import prices, owners, shares, policies, rules, budgets, quotas, people, carbon, jobs; keep drift, advice"
    ),
    Right.BILL: "close periods, enter and withdraw adjustments",
    Right.AUDIT: "read the audit log",
    Right.ADMINISTER: "make and revoke tokens",
}

_ANYONE: Final = {Right.NOTHING, Right.WHO}
_READER: Final = {*_ANYONE, Right.READ, Right.READ_ALL, Right.METRICS}
GRANTS: Final[dict[Role, frozenset[Right]]] = {
    Role.AGENT: frozenset({*_ANYONE, Right.DELIVER}),
    Role.JOIN: frozenset({*_ANYONE, Right.ENROL}),
    Role.SCHEDULER: frozenset({*_ANYONE, Right.START}),
    Role.VIEWER: frozenset(_READER),
    Role.TEAM_LEAD: frozenset({*_READER, Right.DISPUTE, Right.REQUEST}),
    Role.FINANCE: frozenset(
        {*_READER, Right.DISPUTE, Right.REQUEST, Right.DECIDE, Right.BOOKS, Right.BILL, Right.AUDIT}
    ),
    Role.APPROVER: frozenset({*_READER, Right.REQUEST, Right.DECIDE, Right.AUDIT}),
    Role.ADMIN: frozenset(Right) - {Right.ENROL},  # that is what a join token is for
}
# What an identity that is bound to owner nodes may do at most: each of these sees its own rows only.
BOUND: Final = frozenset({*_ANYONE, Right.READ, Right.DISPUTE, Right.REQUEST})
# Roles that always work for the whole organisation, or for no owner at all.
UNBOUND: Final = frozenset({Role.AGENT, Role.JOIN, Role.SCHEDULER, Role.ADMIN})
# Roles that see everything unless they are bound; the others must say so.
WHOLE_BY_DEFAULT: Final = frozenset({Role.FINANCE, Role.APPROVER, Role.ADMIN})


def may(role: Role, right: Right, *, bound: bool) -> bool:
    """Tell whether a role has a right; `bound`: it is bound to owner nodes."""
    return right in GRANTS[role] and (not bound or right in BOUND)
