"""The driver library's functions, called past pynvml's wrappers where those allocate or ask twice for every answer."""

from __future__ import annotations

from collections.abc import Callable

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
