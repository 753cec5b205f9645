"""Waiting for what happens elsewhere: in another thread, process or server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def until(condition: Callable[[], _T], what: str = "what was waited for", timeout_s: float = 30.0) -> _T:
    """Return what `condition` gives as soon as it is true; fail where it is not in time."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.005)
    return found
