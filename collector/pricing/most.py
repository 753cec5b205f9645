"""The most that the ledger can sum: a price book is refused where a month of the GPUs there are would cost more."""

from __future__ import annotations

from typing import Final

from collector.ledger.database import Session
from gpuledger.accounting.money import QUANTA_PER_UNIT
from gpuledger.accounting.pricebook import PriceBook, Priced, applies, device_rate_quanta
from gpuledger.errors import PriceBookError

MONTH_HOURS: Final = 744
MOST_QUANTA: Final = 2**63 - 1  # sums of money are signed 64-bit integers of quanta


def require_countable(session: Session, book: PriceBook, source: str) -> None:
    """Raise PriceBookError where a month of the devices that the ledger knows, each at its dearest, is too much."""
    month = 0
    for row in session.execute("price_capacity").to_pylist():
        units = row.pop("units")
        device = Priced(**row)
        rates = [device_rate_quanta(entry, device.parts) for entry in book.entries if applies(entry, device)]
        month += max(rates, default=0) * units * MONTH_HOURS
    month += sum(contract.gpus * contract.rate_quanta * MONTH_HOURS for contract in book.contracts)
    if month > MOST_QUANTA:
        raise PriceBookError(
            f"{source}: a month of the GPUs that are known may cost {month // QUANTA_PER_UNIT:,} {book.currency},"
            f" and the ledger can sum at most {MOST_QUANTA // QUANTA_PER_UNIT:,}",
            hint="are the rates right? else price in another currency, or give each cluster a ledger of its own",
        )
