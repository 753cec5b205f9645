"""Parameters of questions: what each is called, how its text is read, and what stands in where it is absent."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, tzinfo
from typing import Any, NamedTuple

from gpuledger.accounting.periods import Period, month_of, parse_instant, parse_period
from gpuledger.clock import WallClock
from gpuledger.errors import ConfigError


class Parameter(NamedTuple):
    """One parameter of a request. `parse` raises ConfigError; without a `default` it is required.

    `by_days`: `parse` takes the zone whose days the text means. `of_all`: another value than the default follows from
    the figures of all owners, so that those who are bound to some of them cannot give it.
    """

    name: str
    means: str
    parse: Callable[..., Any] = str
    default: str | None = None
    choices: tuple[str, ...] = ()
    by_days: bool = False
    of_all: bool = False

    def read(self, text: str | None, zone: tzinfo = UTC) -> Any:  # noqa: ANN401 - whatever the question takes
        """Return the value of the parameter's text, or of its default."""
        given = self.default if text is None else text
        if given is None:
            raise ConfigError(f'the parameter "{self.name}" is missing', hint=self.means)
        if self.choices and given not in self.choices:
            raise ConfigError(
                f'{self.name} "{given}" is not known',
                hint=_near(given, self.choices, "one of: " + ", ".join(self.choices)),
            )
        return self.parse(given, zone) if self.by_days else self.parse(given)


def read_parameters(known: Iterable[Parameter], given: Mapping[str, str], zone: tzinfo = UTC) -> dict[str, Any]:
    """Return the values of all `known` parameters; raises ConfigError where one is wrong or another is given.

    Periods mean the days of `zone`.
    """
    names = [parameter.name for parameter in known]
    for name in given:
        if name not in names:
            raise ConfigError(
                f'there is no parameter "{name}" here',
                hint=_near(name, names, "there are: " + (", ".join(names) or "none")),
            )
    return {parameter.name: parameter.read(given.get(parameter.name), zone) for parameter in known}


def each_once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return a query by name. Raises ConfigError where a parameter is given twice: which was meant is unknown."""
    given: dict[str, str] = {}
    for name, text in pairs:
        if name in given:
            raise ConfigError(f'the parameter "{name}" is given twice', hint="give it once")
        given[name] = text
    return given


def bounded(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of whole numbers within `[low, high]`."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or len(text) > len(str(high)) or not low <= int(text) <= high:
            raise ConfigError(f'"{text}" is not a whole number', hint=f"give one from {low} to {high}")
        return int(text)

    return read


def parse_period_or_current(text: str, zone: tzinfo) -> Period:
    """Return the period that `text` names; the current month where it is empty."""
    return parse_period(text, zone) if text else month_of(WallClock().now_us(), zone)


def parse_optional_period(text: str, zone: tzinfo) -> Period | None:
    """Return the period that `text` names; None where it is empty."""
    return parse_period(text, zone) if text else None


def parse_optional_instant(text: str, zone: tzinfo = UTC) -> int | None:
    """Return the instant that `text` names; None where it is empty."""
    return parse_instant(text, zone) if text else None


def _near(name: str, known: Iterable[str], otherwise: str) -> str:
    close = difflib.get_close_matches(name, list(known), 1, 0.5)
    return f'did you mean "{close[0]}"?' if close else otherwise
