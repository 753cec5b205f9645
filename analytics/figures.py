"""Figures on pages that are printed: hours, amounts, shares and months, with a true minus."""

from __future__ import annotations

import calendar
from decimal import Decimal
from typing import Final

UNKNOWN: Final = "\N{EN DASH}"
MINUS: Final = "\N{MINUS SIGN}"


def hours(value: float) -> str:
    """Return GPU-hours to a tenth."""
    return f"{value + 0.0:,.1f}".replace("-0.0", "0.0").replace("-", MINUS)


def amount(value: str | Decimal | int) -> str:
    """Return money to the cent."""
    text = f"{Decimal(value):,.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", MINUS)


def percent(ratio: float | None) -> str:
    """Return a share in whole percent; a dash where there is none. Little is not 0 %, and not all is not 100 %."""
    if ratio is None:
        return UNKNOWN
    if 0 < ratio < 0.01:
        return "<1 %"
    return ">99 %" if 0.99 < ratio < 1 else f"{ratio * 100:.0f} %"


def share(ratio: float | None) -> str:
    """Return a share in whole percent; what is there but rounds to nothing is less than one."""
    return "<1 %" if ratio is not None and 0 < ratio < 0.01 else percent(ratio)


def month(label: str) -> str:
    """Return `October 2026` for 2026-10; any other cut as it is called."""
    year, _, number = label.partition("-")
    named = len(label) == len("2026-10") and year.isdigit() and number.isdigit()
    return f"{calendar.month_name[int(number)]} {year}" if named else label
