"""Waiting for what happens elsewhere: in another thread, process or server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def until(
    condition: Callable[[], _T], what: str = "what was waited for", timeout_s: float = 30.0, *, every_s: float = 0.005
) -> _T:
    """Return what `condition` gives as soon as it is true, asked every `every_s`; fail where it is not in time."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(every_s)
    return found
