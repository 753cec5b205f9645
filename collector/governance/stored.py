"""Approval requests as the ledger keeps them: rows that are only added."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final, NamedTuple

import msgspec

from collector.governance.wanted import Wanted
from collector.ledger.database import Session
from gpuledger.accounting.intervals import Interval
from gpuledger.errors import ConfigError
from gpuledger.rules.approving import Requirement
from gpuledger.rules.requests import Request, Step, What

EVER: Final = Interval(0, 2**62)
_REQUIREMENTS: Final = tuple[Requirement, ...]


class StoredRequest(NamedTuple):
    """A request: what is wanted for whom, what its fate depends on, and what approvals made of it."""

    approval_id: int
    kind: str
    owner: str
    wanted: Wanted
    decision_id: int
    request: Request
    made: str

    @property
    def name(self) -> str:
        """Return what it is called in the audit log and on bills."""
        return f"approval {self.approval_id}"


def load_requests(
    session: Session, approval_id: int = 0, *, ending_us: int = 0, expiring: Interval = EVER
) -> list[StoredRequest]:
    """Return one request, or all by number: those that expire within an interval.

    With `ending_us`, only those whose effect has a time of its own that ends after it.
    """
    asked = {
        "approval_id": approval_id,
        "ending_us": ending_us,
        "from_us": expiring.start_us,
        "to_us": expiring.end_us,
    }
    steps: defaultdict[int, list[Step]] = defaultdict(list)
    made: defaultdict[int, str] = defaultdict(str)
    for row in session.execute("approval_steps", asked).to_pylist():
        steps[row["approval_id"]].append(_step(row))
        made[row["approval_id"]] = row["made"] or made[row["approval_id"]]
    return [
        _request(row, tuple(steps[row["approval_id"]]), made[row["approval_id"]])
        for row in session.execute("approval_requests", asked).to_pylist()
    ]


def find_request(session: Session, approval_id: int) -> StoredRequest:
    """Return a request. Raises ConfigError where there is none of that number."""
    found = load_requests(session, approval_id) if approval_id > 0 else []
    if not found:
        raise ConfigError(f"there is no approval {approval_id}", hint="gpuledger approval list shows all of them")
    return found[0]


def insert_request(session: Session, stored: StoredRequest) -> None:
    """Keep a new request with its first steps."""
    request = stored.request
    session.execute(
        "approval_insert",
        {
            "approval_id": stored.approval_id,
            "kind": stored.kind,
            "owner": stored.owner,
            "wanted": msgspec.json.encode(stored.wanted).decode(),
            "from_us": request.from_us,
            "to_us": request.to_us,
            "expires_us": request.expires_us,
            "decision_id": stored.decision_id,
            "requirements": msgspec.json.encode(request.requirements).decode(),
        },
    )
    for number, step in enumerate(request.steps, 1):
        _insert(session, stored.approval_id, number, step, stored.made)


def insert_step(session: Session, stored: StoredRequest, step: Step, made: str = "") -> None:
    """Keep another step of a request."""
    _insert(session, stored.approval_id, len(stored.request.steps) + 1, step, made)


def _insert(session: Session, approval_id: int, number: int, step: Step, made: str) -> None:
    session.execute(
        "approval_insert_step",
        {
            "approval_id": approval_id,
            "step": number,
            "what": step.what.value,
            "at_us": step.at_us,
            "by_whom": step.by,
            "why": step.why,
            "roles": msgspec.json.encode(step.roles).decode(),
            "made": made,
        },
    )


def _step(row: dict[str, Any]) -> Step:
    roles = msgspec.json.decode(row["roles"], type=tuple[str, ...])
    return Step(What(row["what"]), row["at_us"], row["by_whom"], row["why"], roles)


def _request(row: dict[str, Any], steps: tuple[Step, ...], made: str) -> StoredRequest:
    requirements = msgspec.json.decode(row["requirements"], type=_REQUIREMENTS)
    return StoredRequest(
        approval_id=row["approval_id"],
        kind=row["kind"],
        owner=row["owner"],
        wanted=msgspec.json.decode(row["wanted"], type=Wanted),
        decision_id=row["decision_id"],
        request=Request(row["expires_us"], requirements, steps, row["from_us"], row["to_us"]),
        made=made,
    )
