"""The optional parts of an installation: which module belongs to which, and how to get it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gpuledger.errors import ConfigError

EXTRAS: Final[dict[str, tuple[str, ...]]] = {
    "agent": ("pynvml", "h2"),
    "collector": ("duckdb", "pyarrow", "starlette", "uvicorn", "prometheus_client"),
    "analytics": (
        "polars",
        "pyarrow",
        "numpy",
        "scipy",
        "statsmodels",
        "pandas",
        "evidently",
        "jinja2",
        "css_inline",
        "xlsxwriter",
        "weasyprint",
    ),
    "dashboards": ("streamlit", "altair", "polars", "pyarrow"),
}


def install_command(*extras: str) -> str:
    """Return the exact command that adds `extras` to this installation."""
    return f"uv tool install 'gpuledger[{','.join(sorted(extras))}]'"


def missing_modules(extra: str) -> list[str]:
    """Return the modules of `extra` that are not installed, without importing any."""
    return [module for module in EXTRAS[extra] if importlib.util.find_spec(module) is None]


def require(extra: str, purpose: str) -> None:
    """Raise ConfigError with the command that installs `extra` where one of its modules is missing."""
    missing = missing_modules(extra)
    if missing:
        raise _absent(extra, purpose, missing[0])


@contextmanager
def needs(extra: str, purpose: str) -> Iterator[None]:
    """Turn a missing module of `extra` into a ConfigError with the command that installs it.

    A module that belongs to no extra is a fault of the program and stays one.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS[extra]:
            raise
        raise _absent(extra, purpose, module) from error


def _absent(extra: str, purpose: str, module: str) -> ConfigError:
    return ConfigError(
        f'{purpose} needs the "{extra}" extra: {module} is not installed',
        hint=f"{install_command(extra)}   (or: pipx install 'gpuledger[{extra}]')",
    )
