"""The driver library's functions, called past pynvml's wrappers where those allocate or ask twice for every answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pynvml

from agent.devices.nvml import codes


def function(name: str) -> Callable[..., int]:
    """Return the library's function of that name.

    Raises NVMLError where it has none. Ask each time: the library behind pynvml may be another one tomorrow.
    """
    found: Callable[..., int] | None = getattr(pynvml.nvmlLib, name, None)
    if found is None:
        raise pynvml.NVMLError(codes.FUNCTION_NOT_FOUND)
    return found


def has(name: str) -> bool:
    """Tell whether the library has a function of that name."""
    return getattr(pynvml.nvmlLib, name, None) is not None


def answer_or_none(ask: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401 - functions of pynvml are untyped
    """Return what a function of pynvml answers, or None where it fails: for facts that a board can be read without.

    Raises NVMLError where that says that the board or the driver is gone.
    """
    try:
        return ask(*arguments)
    except pynvml.NVMLError as error:
        if error.value in codes.DRIVER_GONE or error.value in codes.BOARD_FAULTS:
            raise
        return None
