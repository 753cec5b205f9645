"""Which part of the ledger is asked about: everything, or what lies below one owner, holder or workload. Pure.

A part is written as a path. `/acme/research/vision` is what team vision of that department pays for: organisation,
department, team, project, user and workload follow each other. `*` stands for any (`/*/*/vision/*/lena`), an empty name
for those without one. `unattributed` is what is held and has no owner, with user and workload below it; `idle`,
`unavailable` and `unobserved` are time that nobody held. Names write `/`, `*` and `%` as `%2F`, `%2A` and `%25`.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import unquote

from gpuledger.errors import ConfigError

OWNER: Final = "owner"
UNATTRIBUTED: Final = "unattributed"
NOBODYS: Final = ("idle", "unavailable", "unobserved")
OWNER_LEVELS: Final = ("organisation", "department", "team", "project")
HOLDER_LEVELS: Final = ("user", "workload")
LEVELS: Final = (*OWNER_LEVELS, *HOLDER_LEVELS)
ANY: Final = "*"
HINT: Final = (
    "/ORGANISATION/DEPARTMENT/TEAM/PROJECT/USER/WORKLOAD, unattributed/USER/WORKLOAD, idle, unavailable, unobserved"
)


class Within(NamedTuple):
    """A part: its kind (empty: everything), and the names that its path gives, level by level; None is any."""

    kind: str = ""
    names: tuple[str | None, ...] = ()

    @property
    def levels(self) -> tuple[str, ...]:
        """Return the levels that a path of this kind has, the widest first."""
        if self.kind in ("", OWNER):
            return LEVELS
        return HOLDER_LEVELS if self.kind == UNATTRIBUTED else ()

    def name(self, level: str) -> str | None:
        """Return what is asked for at a level: a name, empty for those without one; None: any."""
        named = dict(zip(self.levels, self.names, strict=False))
        return named.get(level)

    def below(self, level: str, name: str) -> Within:
        """Return the part of this one that has `name` at `level`; levels between are any."""
        levels = self.levels
        at = levels.index(level)
        names = (*self.names[:at], *[None] * (at - len(self.names)), name)
        return Within(self.kind or OWNER, names)

    def until(self, level: str) -> Within:
        """Return the part that the path names down to `level`, itself included."""
        return Within(self.kind, self.names[: self.levels.index(level) + 1])

    def __str__(self) -> str:
        """Return the path."""
        head = "" if self.kind == OWNER else self.kind
        return "/".join((head, *(ANY if name is None else _escaped(name) for name in self.names)))


EVERYTHING: Final = Within()


def parse_within(text: str) -> Within:
    """Return the part that a path names; empty text is everything. Raises ConfigError where it names none."""
    if not text:
        return EVERYTHING
    head, *segments = text.split("/")
    kind = head or OWNER
    if kind not in (OWNER, UNATTRIBUTED, *NOBODYS) or head == OWNER:
        raise ConfigError(f'"{text}" is no part of the ledger', hint=HINT)
    found = Within(kind, tuple(None if each == ANY else unquote(each) for each in segments))
    if len(found.names) > len(found.levels):
        raise ConfigError(f'"{text}" has more levels than there are', hint=HINT)
    return found


def _escaped(name: str) -> str:
    return name.replace("%", "%25").replace("/", "%2F").replace(ANY, "%2A")
