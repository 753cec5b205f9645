"""Sums of charges that policies start from: whose time, on what, in which state, and what it cost by either basis."""

from __future__ import annotations

from typing import NamedTuple

from gpuledger.accounting.policybook import PolicyScope
from gpuledger.model import HELD_STATES, State

Team = tuple[str, str, str]  # organisation, department, team; three empty ones are the platform
PLATFORM_TEAM: Team = ("", "", "")


class Sums(NamedTuple):
    """Charges of one owner (or nobody), kind of device, state and reason from `spell_us` until policies next change.

    `used_quanta` is the cost of active time, `unseen_quanta` that of held time whose activity nobody observed. Of what
    remains, `beyond_quanta` were taken back where a holder was active for more than its share. `excess_quanta` is what
    the larger of held and used shares come to, hour by hour, beyond the held ones; it stands in rows of state 0.
    Time without a price is in `part_us` and `unpriced_part_us`, and in no cost, active or unseen time.
    """

    spell_us: int
    organisation: str
    department: str
    team: str
    project: str
    pool: str
    model: str
    mig_profile: str
    state: int
    reason: str
    part_us: int = 0
    active_part_us: int = 0
    unseen_part_us: int = 0
    unpriced_part_us: int = 0
    cost_quanta: int = 0
    used_quanta: int = 0
    unseen_quanta: int = 0
    beyond_quanta: int = 0
    excess_quanta: int = 0

    @property
    def owner(self) -> Team:
        """Return who pays."""
        return self.organisation, self.department, self.team

    @property
    def owned(self) -> bool:
        """Tell whether a team pays for it: what nobody owns is the platform's already."""
        return self.owner != PLATFORM_TEAM

    @property
    def held(self) -> bool:
        """Tell whether somebody held the time."""
        return self.state == 0 or State(self.state) in HELD_STATES

    @property
    def unused_quanta(self) -> int:
        """Return what was paid for held time that was seen not to be used; less than zero where more was used."""
        return self.cost_quanta - self.used_quanta - self.unseen_quanta

    @property
    def scope(self) -> PolicyScope:
        """Return what policies are asked about."""
        return PolicyScope(*self.owner, self.pool, self.model)

    @property
    def place(self) -> PolicyScope:
        """Return the same without the owner, as for time that nobody held."""
        return PolicyScope(pool=self.pool, model=self.model)
