"""Who acts: set once where a request or a command begins, and read where an act is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

UNNAMED: Final = "unnamed"  # nobody had to say who they are
_actor: Final[ContextVar[str]] = ContextVar("actor", default=UNNAMED)


def actor() -> str:
    """Return who acts in this context."""
    return _actor.get()


def act_as(name: str) -> None:
    """Let `name` be who acts from now on in this context: a command that has one user."""
    _actor.set(name or UNNAMED)


@contextmanager
def acting(name: str) -> Iterator[None]:
    """Let `name` be who acts, within the block and what it starts."""
    token = _actor.set(name or UNNAMED)
    try:
        yield
    finally:
        _actor.reset(token)
