"""Notices as the ledger keeps them: what is to be told to whom, and what became of it. Never an address."""

from __future__ import annotations

from typing import Final, NamedTuple

from collector.ledger.database import Session

WAITING: Final = "waiting"
SENT: Final = "sent"
FAILED: Final = "failed"
SUPPRESSED: Final = "suppressed"


class Notice(NamedTuple):
    """A notice, and its last step: `due_us` is when it is to be tried next, where it waits."""

    notice_id: int
    crossing_id: int
    target: str
    title: str
    body: str
    steps: int
    attempts: int
    made_us: int
    at_us: int
    state: str
    due_us: int
    reason: str

    @property
    def key(self) -> str:
        """Return what is the same however often it is sent: a receiver can tell a second delivery by it."""
        return f"{self.crossing_id}-{self.target}"


def add_notice(
    session: Session, notice_id: int, crossing_id: int, *, target: str, title: str, body: str, at_us: int
) -> None:
    """Keep what somebody is to be told, waiting to be sent at once."""
    said = {"notice_id": notice_id, "crossing_id": crossing_id, "target": target, "title": title, "body": body}
    session.execute("notice_insert", said)
    step = {"step": 1, "state": WAITING, "at_us": at_us, "due_us": at_us, "attempts": 0, "reason": ""}
    session.execute("notice_insert_step", {"notice_id": notice_id, **step})


def load_notices(session: Session, *, waiting: bool = False) -> list[Notice]:
    """Return all notices by number, or those that are still to be sent."""
    return [Notice(**row) for row in session.execute("notices", {"waiting": waiting}).to_pylist()]


def add_step(
    session: Session, notice: Notice, state: str, *, at_us: int, reason: str, due_us: int | None = None
) -> None:
    """Keep what became of a notice; `attempts` of it are those that were made by now."""
    session.execute(
        "notice_insert_step",
        {
            "notice_id": notice.notice_id,
            "step": notice.steps + 1,
            "state": state,
            "at_us": at_us,
            "due_us": due_us,
            "attempts": notice.attempts,
            "reason": reason,
        },
    )
