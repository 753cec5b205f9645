"""What people enter about bills: words that stand on them, amounts, owners by name, and on which bill it is."""

from __future__ import annotations

import difflib
import re
import unicodedata
from decimal import Decimal
from typing import Final, NamedTuple

from collector.ledger.database import Session
from collector.periods.closed import ClosedPeriod, closed_periods, period_of
from gpuledger.accounting.money import quanta
from gpuledger.accounting.periods import Period
from gpuledger.errors import ConfigError, LedgerError, Terminal

MAX_WORDS: Final = 1_000
MAX_AMOUNT: Final = Decimal(1_000_000_000)
PLATFORM: Final = "platform"
_UNPRINTED: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # control, invisible, halves of characters, breaks
_AMOUNT: Final = re.compile(r"-?\d{1,10}(\.\d{1,9})?", re.ASCII)


class EntryError(LedgerError, Terminal):
    """A dispute or an adjustment that cannot be entered, decided or withdrawn as things stand."""


class Payer(NamedTuple):
    """Who pays: a team, or with nothing said the platform."""

    organisation: str = ""
    department: str = ""
    team: str = ""

    def __str__(self) -> str:
        """Return the owner as people write it: `acme/research/vision`."""
        return "/".join(filter(None, self)) or PLATFORM


def words(what: str, text: str) -> str:
    """Return a line that stands on a bill for ever. Raises ConfigError where it is too long or is not one line."""
    found = text.strip()
    if len(found) > MAX_WORDS or any(unicodedata.category(each) in _UNPRINTED for each in found):
        raise ConfigError(
            f"{what} is not a line of at most {MAX_WORDS:,} characters",
            hint="be brief; name a ticket for the rest",
        )
    return found


def needed(what: str, text: str, hint: str) -> str:
    """Return such a line that must say something."""
    found = words(what, text)
    if not found:
        raise ConfigError(f"{what} is missing", hint=hint)
    return found


def amount_quanta(text: str) -> int:
    """Return a decimal amount, negative or not, as quanta. Raises ConfigError where it is none, or nothing."""
    if not _AMOUNT.fullmatch(text) or not (amount := Decimal(text)) or abs(amount) > MAX_AMOUNT:
        raise ConfigError(
            f'"{text}" is not an amount',
            hint=f"write it as 12.50, with at most nine decimals, not zero and at most {MAX_AMOUNT:,}",
        )
    return quanta(amount)


class Bills(NamedTuple):
    """The bill of an open period (or of the one being closed) among the closed ones."""

    period: Period
    closed: list[ClosedPeriod]
    next: bool  # it is the next to close: what is about closed time goes onto it

    def take(self, to_us: int) -> bool:
        """Tell whether something about time that ends at `to_us` goes onto this bill."""
        return to_us <= self.period.end_us and (self.next or to_us > self.period.start_us)

    def corrects(self, from_us: int) -> str:
        """Return the label of the closed period that an instant lies in, or nothing where it is this one."""
        found = period_of(self.closed, from_us)
        return found.label if found else ""


def bills_of(session: Session, period: Period) -> Bills:
    """Return where the bill of `period` stands."""
    earliest = session.execute("period_earliest_open").to_pylist()[0]["hour_us"]
    return Bills(period, closed_periods(session), earliest is None or earliest >= period.start_us)


def find_owner(session: Session, text: str) -> Payer:
    """Return the owner that `text` names: `platform`, a team, or `organisation/department/team`.

    Raises ConfigError where nobody is called that, or several are: an invoice never goes to a misspelled team.
    """
    wanted = text.strip()
    if wanted.lower() == PLATFORM:
        return Payer()
    known = {Payer(**row) for row in session.execute("entry_owners").to_pylist()} - {Payer()}
    names = {str(each): each for each in known}
    if wanted in names:
        return names[wanted]
    found = sorted(each for each in known if wanted and f"/{each}".endswith(f"/{wanted}"))
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f'"{wanted}" is several owners', hint=f"one of: {', '.join(map(str, found))}")
    near = difflib.get_close_matches(wanted, [*names, *(each.team for each in known)], n=1)
    raise ConfigError(
        f'no owner is called "{wanted}"',
        hint=f'did you mean "{near[0]}"?' if near else "name one of the owner mapping: organisation/department/team",
    )
