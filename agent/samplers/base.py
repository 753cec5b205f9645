"""The seam between samplers and a driver: what a family of telemetry asks, and of whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

Values = Mapping[str, int | None]  # by the names of BoardHealth's fields


class BoardAnswers(Protocol):
    """A board that answers. None means "not supported here", which is remembered, or "not known now"."""

    def field(self, field: int) -> int | None:
        """Return the value of one of the fields that were read for this round. Raises DeviceError where it failed."""
        ...

    def number(self, function: str, *arguments: int, spare: int = 0) -> int | None:
        """Return the first number that a function of the library answers; `spare` more are not wanted.

        Raises DeviceError where it fails otherwise than by not being supported.
        """
        ...


class Sampler(Protocol):
    """One family of telemetry."""

    @property
    def name(self) -> str:
        """Return what the family is called in metrics and messages."""
        ...

    @property
    def fields(self) -> tuple[int, ...]:
        """Return the fields that it needs. All families that run together have theirs read in one call."""
        ...

    def read(self, board: BoardAnswers) -> Values:
        """Return the family's values. Raises DeviceError where the board does not answer as it should."""
        ...


class FieldSampler:
    """A family that is nothing but fields."""

    def __init__(self, name: str, fields: Mapping[str, int]) -> None:
        self.name = name
        self.fields = tuple(fields.values())
        self._fields = tuple(fields.items())

    def read(self, board: BoardAnswers) -> Values:
        """Return the value of each field under its name."""
        return {name: board.field(field) for name, field in self._fields}
