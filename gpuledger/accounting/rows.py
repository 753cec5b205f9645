"""A row while it grows: the shares of one device since they last changed, until they become usage records."""

from __future__ import annotations

import msgspec

from gpuledger.accounting.energy import EnergyAccount
from gpuledger.accounting.sharing import Share, Stretch
from gpuledger.errors import ConservationError
from gpuledger.model import UsageRecord


class OpenRow(msgspec.Struct):
    """One device over `[start_us, end_us)` with the same holders, states, reasons and evidence throughout."""

    device: str
    account: EnergyAccount  # of the board that the device is on
    start_us: int
    end_us: int
    shares: list[Share]

    def continues_with(self, stretch: Stretch) -> bool:
        """Say whether the stretch differs from this row in nothing but amounts."""
        shares, others = self.shares, stretch.shares
        if len(shares) != len(others):
            return False
        for share, other in zip(shares, others, strict=True):
            if share.holder != other.holder or share.state is not other.state or share.reason != other.reason:
                return False
            if share.evidence is not other.evidence and share.evidence != other.evidence:
                return False
        return True

    def grow(self, stretch: Stretch) -> None:
        """Add a stretch that continues this row."""
        self.end_us = stretch.end_us
        for share, other in zip(self.shares, stretch.shares, strict=True):
            share.held_us += other.held_us
            if share.active_us is not None:
                share.active_us += other.active_us or 0
            if share.energy_mj is not None:
                share.energy_mj += other.energy_mj or 0
            if other.memory_max_bytes is not None:
                share.memory_byte_us += other.memory_byte_us
                share.memory_known_us += other.memory_known_us
                share.memory_max_bytes = max(share.memory_max_bytes or 0, other.memory_max_bytes)

    def close(self) -> list[UsageRecord]:
        """Return the records, and tell the board's account what energy they took.

        Raises ConservationError where the shares of time do not sum to the row's length, or its work exceeds it.
        """
        length_us = self.end_us - self.start_us
        held_us = active_us = energy_mj = 0
        records = []
        for share in self.shares:
            held_us += share.held_us
            active_us += share.active_us or 0
            energy_mj += share.energy_mj or 0
            known_us = share.memory_known_us
            records.append(
                UsageRecord(
                    self.device,
                    share.holder,
                    self.start_us,
                    self.end_us,
                    share.state,
                    share.reason,
                    share.held_us,
                    share.active_us,
                    share.energy_mj,
                    share.memory_byte_us // known_us if known_us else None,
                    share.memory_max_bytes,
                    share.evidence,
                )
            )
        if held_us != length_us or not 0 <= active_us <= length_us:
            raise ConservationError(
                f"{self.device} in [{self.start_us}, {self.end_us}): shares sum to {held_us} us held and {active_us} us"
                f" active of {length_us} us",
                hint="this is a fault of the meter: report it with the agent's log",
            )
        self.account.closed_mj += energy_mj
        return records
