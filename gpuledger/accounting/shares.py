"""The share book: which team has how many GPUs of which devices, from when until when, and whether it lends them.

A share is of a scope: the devices of a cluster, a node pool and a model. A device counts in one scope only, the most
specific that applies to it while any share of it is valid: one that names the cluster before one for all, then one that
names the pool, then an exact model before a glob, and of two globs the one that fixes more characters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from gpuledger.accounting.globs import is_glob, literal_characters, matches, may_both_match
from gpuledger.accounting.validity import Validity
from gpuledger.errors import ShareBookError

IDLE_PLATFORM: Final = "platform"
IDLE_OWNER: Final = "owner"
IDLE: Final = (IDLE_PLATFORM, IDLE_OWNER)  # who pays for the idle part of a share
UNOWNED_LAST: Final = "last"
UNOWNED_FIRST: Final = "first"
UNOWNED: Final = (UNOWNED_LAST, UNOWNED_FIRST)  # when what is over takes capacity that nobody owns

Team = tuple[str, str, str]  # organisation, department, team


class Kind(NamedTuple):
    """What a scope is asked about: a device as the ledger knows it."""

    cluster: str
    pool: str
    model: str


class Scope(NamedTuple):
    """The devices that a share is of; an empty cluster or pool stands for all, `model` is NVML's name or a glob."""

    cluster: str = ""
    pool: str = ""
    model: str = "*"

    @property
    def specificity(self) -> tuple[int, int, int, int]:
        """Return the scope's rank; of all that apply the highest wins."""
        return bool(self.cluster), bool(self.pool), not is_glob(self.model), literal_characters(self.model)

    def applies(self, kind: Kind) -> bool:
        """Return whether devices of `kind` are in it."""
        return self.cluster in ("", kind.cluster) and self.pool in ("", kind.pool) and matches(self.model, kind.model)

    def rivals(self, other: Scope) -> bool:
        """Return whether some device could be in either, with nothing to say in which."""
        return (
            self != other
            and (self.cluster, self.pool, self.specificity) == (other.cluster, other.pool, other.specificity)
            and may_both_match(self.model, other.model)
        )

    def describe(self) -> str:
        """Return the scope as messages and bills write it."""
        named = {"cluster": self.cluster, "pool": self.pool, "model": "" if self.model == "*" else self.model}
        return ", ".join(f"{name} {value}" for name, value in named.items() if value) or "all devices"


class Share(NamedTuple):
    """One team's share: `parts` of a GPU (840 are one), in a scope, while it is valid.

    An empty organisation or department stands for whichever the team has. `lend_limit_parts` is the most that is on
    loan (None: all that is idle). A GPU-hour on loan costs its borrower `loan_percent` of what that hour costs it
    anyway, or `loan_rate_quanta`; with neither, nothing. The lender is credited what the borrower pays.
    """

    team: str
    parts: int
    scope: Scope = Scope()
    organisation: str = ""
    department: str = ""
    lends: bool = True
    lend_limit_parts: int | None = None
    loan_percent: Decimal | None = None
    loan_rate_quanta: int | None = None
    from_us: int | None = None
    to_us: int | None = None

    @property
    def validity(self) -> Validity:
        """Return when the team has it."""
        return Validity(self.from_us, self.to_us)

    @property
    def most_lent_parts(self) -> int | None:
        """Return how much may be on loan; None: all of it."""
        return self.lend_limit_parts if self.lends else 0

    def is_of(self, team: Team) -> bool:
        """Return whether it is the share of a team, as owner rules name it."""
        return all(mine in ("", theirs) for mine, theirs in zip(self.holder, team, strict=True))

    @property
    def holder(self) -> Team:
        """Return the team as the share names it."""
        return self.organisation, self.department, self.team


class ShareBook:
    """All shares, numbered as given, from 0, with who pays for the idle part of them.

    Raises ShareBookError where a team would have two shares of one scope at a time, or a device be in two scopes.
    """

    def __init__(self, shares: Sequence[Share], *, idle: str = IDLE_PLATFORM, unowned: str = UNOWNED_LAST) -> None:
        self.shares = tuple(shares)
        self.idle = idle
        self.unowned = unowned
        by_scope: defaultdict[Scope, list[int]] = defaultdict(list)
        for number, share in enumerate(self.shares):
            for scope, others in by_scope.items():
                self._refuse(number, others, tied=scope.rivals(share.scope), same=scope == share.scope)
            by_scope[share.scope].append(number)
        self.scopes = tuple(by_scope)

    def _refuse(self, number: int, others: Iterable[int], *, tied: bool, same: bool) -> None:
        share = self.shares[number]
        for earlier in others if tied or same else ():
            other = self.shares[earlier]
            if not share.validity.meets(other.validity):
                continue
            if tied:
                raise ShareBookError(
                    f"shares {earlier + 1} and {number + 1} tie: {other.scope.describe()} and {share.scope.describe()}"
                    " may both hold of one device",
                    hint="name the model exactly, or the pool, in one of them",
                )
            if all(one in ("", two) or not two for one, two in zip(share.holder, other.holder, strict=True)):
                raise ShareBookError(
                    f"shares {earlier + 1} and {number + 1} overlap: {share.team} has both of {share.scope.describe()}",
                    hint='end the earlier one with "to" where this one starts with "from", or add them up',
                )

    def valid_in(self, scope: Scope, at_us: int) -> list[int]:
        """Return the shares (by number) of a scope that hold at an instant."""
        return [
            number
            for number, share in enumerate(self.shares)
            if share.scope == scope and share.validity.holds_at(at_us)
        ]

    def scope_of(self, kind: Kind, at_us: int) -> Scope | None:
        """Return the scope that devices of `kind` are in at an instant; None where no share speaks of them."""
        found = {share.scope for share in self.shares if share.validity.holds_at(at_us) and share.scope.applies(kind)}
        return max(found, key=lambda scope: scope.specificity, default=None)
