"""Reserved GPUs: what the rest of a period costs an owner even if it starts nothing, by the shares that it pays for.

Where the share book says that owners pay for the idle part of their shares, a share is a reservation: its GPUs cost its
owner something, used or not. What lending brings back is not certain, so it is not taken off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.money import cost_quanta
from gpuledger.accounting.ownership import Owner
from gpuledger.accounting.pricebook import PriceBook, Priced
from gpuledger.accounting.shares import IDLE_OWNER, Kind, ShareBook, Team
from gpuledger.accounting.units import GPU_PARTS
from gpuledger.accounting.validity import segments


def reserved_ahead(
    shares: ShareBook, names: Mapping[Team, Team], prices: PriceBook, kinds: Sequence[Kind], within: Interval
) -> dict[Team, int | None]:
    """Return in quanta what shares cost their owners within an interval at least, by the owner's full name.

    Each GPU of a share at the lowest price that a GPU of its scope has then, of `kinds` that are known, idle or held by
    the owner, under any contract or none. None where one of its scopes has no priced GPU: then it is not known.
    """
    found: defaultdict[Team, int | None] = defaultdict(int)
    if shares.idle != IDLE_OWNER or within.length_us <= 0:
        return {}
    for part in segments(within, [*shares.shares, *prices.entries]):
        scopes = {kind: shares.scope_of(kind, part.start_us) for kind in kinds}
        for share in shares.shares:
            if not share.validity.holds_at(part.start_us):
                continue
            team = names.get(share.holder, share.holder)
            here = [kind for kind, scope in scopes.items() if scope == share.scope]
            rate_quanta = _lowest(prices, here, team, part.start_us)
            so_far = found[team]
            if rate_quanta is None or so_far is None:
                found[team] = None
            else:
                found[team] = so_far + cost_quanta(rate_quanta, share.parts * part.length_us) // GPU_PARTS
    return dict(found)


def _lowest(prices: PriceBook, kinds: Sequence[Kind], team: Team, at_us: int) -> int | None:
    """Return the lowest hourly rate of a whole GPU of some kinds at an instant; None where none of them has a price."""
    rates = []
    for kind in kinds:
        device = Priced(kind.model, GPU_PARTS, "", kind.pool, kind.cluster)
        for contract in ("", *(each.name for each in prices.contracts if each.validity.holds_at(at_us))):
            asked = (prices.price(device, at_us, owner, contract) for owner in (None, Owner(*team)))
            rates += [price.rate_quanta for price in asked if price is not None]
    return min(rates, default=None)
