"""Values in Slurm's JSON, whose types differ from version to version."""

from __future__ import annotations

from typing import Any

from gpuledger.accounting.units import US_PER_SECOND


def whole_number(value: object) -> int | None:
    """Return a count that Slurm writes plainly, as text or as `{set, infinite, number}`; None where it is not set.

    Raises ValueError on what is none of these, or infinite.
    """
    if isinstance(value, dict):
        if not value.get("set", True):
            return None
        if value.get("infinite"):
            raise ValueError("a number is infinite")
        value = value.get("number")
    if value is None or (isinstance(value, str) and value.strip().lower() in {"", "none", "n/a", "unknown"}):
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{value!r} is not a whole number")  # noqa: TRY004 - the log is wrong, not the call
    return int(value)


def epoch_us(value: object) -> int | None:
    """Return an instant; Slurm writes 0 for none."""
    seconds = whole_number(value)
    return seconds * US_PER_SECOND if seconds else None


def state_of(value: object) -> str:
    """Return the base state, which later versions write as a list with flags after it."""
    if isinstance(value, dict):
        value = value.get("current")
    if isinstance(value, list):
        value = value[0] if value else ""
    return text(value)


def text(value: object) -> str:
    """Return a text, empty where there is none."""
    return value if isinstance(value, str) else ""


def mapping(value: object) -> dict[str, Any]:
    """Return an object, empty where there is none."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> list[dict[str, Any]]:
    """Return a list of objects, empty where there is none."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
