"""What can be asked for: kinds of requests, what each has to say, and what it says in the ledger's own words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from datetime import tzinfo
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from collector.governance.owners import find_node
from collector.ledger.database import Session
from collector.periods.entries import amount_quanta, find_owner, needed, words
from collector.periods.manual import require_currency
from gpuledger.accounting.money import Money, from_quanta
from gpuledger.accounting.periods import iso, parse_instant, parse_period
from gpuledger.accounting.units import US_PER_DAY
from gpuledger.errors import ConfigError
from gpuledger.rules.fields import REQUESTS, plain

DEFAULT_DAYS: Final = 14  # in which a request has to be decided, unless it says otherwise
MAX_DAYS: Final = 366
MAX_WHY: Final = 800  # what an approval makes says it with some words more
MAX_QUANTITY: Final = Decimal(1_000_000_000)
_QUANTITY: Final = re.compile(r"\d{1,10}(\.\d{1,6})?", re.ASCII)
_ALWAYS: Final = ("kind", "by", "why", "expires")


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"from_": "from"}):
    """A request as somebody writes it: all texts. Which fields a kind needs and may have is in KINDS."""

    kind: str
    by: str
    why: str
    owner: str = ""
    amount: str = ""
    currency: str = ""
    gpu_hours: str = ""
    gpus: str = ""
    model: str = ""
    pool: str = ""
    from_: str = ""
    to: str = ""
    period: str = ""
    from_owner: str = ""
    dispute: str = ""
    decision: str = ""
    percent: str = ""
    to_owner: str = ""
    content: str = ""
    source: str = ""
    expires: str = ""


class Kind(NamedTuple):
    """What requests of a kind need, which one of several they need, and what else they may say."""

    means: str
    needs: tuple[str, ...]
    one_of: tuple[str, ...] = ()
    may: tuple[str, ...] = ()


KINDS: Final[dict[str, Kind]] = {
    "budget": Kind("more money for an owner, for a time", ("owner", "amount", "currency", "to"), (), ("from",)),
    "quota": Kind(
        "more GPU-hours or GPUs for an owner, for a time", ("owner", "to"), ("gpu_hours", "gpus"),
        ("from", "model", "pool"),
    ),
    "exception": Kind(
        "what rules hold or refuse is let through for an owner, for a time; with a period: it is closed as it is",
        ("owner", "to"), (), ("from", "model", "pool", "gpus"),
    ),
    "price": Kind("a new price book", ("content",), (), ("source",)),
    "budget_book": Kind("a new budget book", ("content",), (), ("source",)),
    "quota_book": Kind("a new quota book", ("content",), (), ("source",)),
    "dispute": Kind("the decision of a dispute", ("dispute", "decision"), (), ("amount", "percent", "to_owner")),
    "adjustment": Kind("an amount on a bill", ("owner", "amount", "currency"), (), ("period", "from_owner")),
}  # fmt: skip
OWNERS_KINDS: Final = ("budget", "quota", "exception")  # about one owner, and nothing that others have
_BOOKS: Final = {
    "price": ("price_newest", "price_version"),
    "budget_book": ("budget_newest", "budget_version"),
    "quota_book": ("quota_newest", "quota_version"),
}
CLOSE: Final = Kind("closing a period as it is", ("period",))


class Wanted(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wanted, checked: the owner in full, amounts as texts of exact decimals; what is not said is empty."""

    owner: str = ""
    amount: str = ""
    currency: str = ""
    gpu_hours: str = ""
    gpus: str = ""
    model: str = ""
    pool: str = ""
    period: str = ""
    from_owner: str = ""
    dispute: int = 0
    decision: str = ""
    percent: str = ""
    to_owner: str = ""
    content: str = ""
    source: str = ""
    base: int = 0  # of a book: the version that it was made to follow

    @property
    def money(self) -> Money | None:
        """Return the amount, where there is one."""
        return Money(Decimal(self.amount), self.currency) if self.amount else None


class Terms(NamedTuple):
    """Who asks and why; by when it has to be decided; and, of what holds for a time, from when until when."""

    by: str
    why: str
    expires_us: int
    from_us: int | None
    to_us: int | None


def check_kind(asked: Asked) -> Kind:
    """Return the kind that is asked for. Raises ConfigError where there is none such, or the fields are not its own."""
    if asked.kind not in KINDS:
        near = difflib.get_close_matches(asked.kind, REQUESTS, n=1)
        meant = f'did you mean "{near[0]}"? ' if near else ""
        raise ConfigError(f'nothing like "{asked.kind[:40]}" can be asked for', hint=f"{meant}{', '.join(REQUESTS)}")
    kind = CLOSE if asked.kind == "exception" and asked.period else KINDS[asked.kind]
    said = {name: value for name, value in given(asked).items() if value and name not in _ALWAYS}
    missing = [name for name in kind.needs if name not in said]
    if missing:
        raise ConfigError(f"a request of {asked.kind} needs {missing[0]}", hint=f"{kind.means}: {_fields(kind)}")
    chosen = [name for name in kind.one_of if name in said]
    if kind.one_of and len(chosen) != 1:
        raise ConfigError(f"a request of {asked.kind} needs one of {' and '.join(kind.one_of)}", hint=_fields(kind))
    strange = [name for name in said if name not in (*kind.needs, *kind.one_of, *kind.may)]
    if strange:
        raise ConfigError(f"a request of {asked.kind} has no {strange[0]}", hint=f"it has: {_fields(kind)}")
    return kind


def read_terms(asked: Asked, kind: Kind, now_us: int, zone: tzinfo) -> Terms:
    """Return who asks, why and for when. Raises ConfigError where nobody does, or the times cannot be."""
    by = needed("who asks", asked.by, 'say who does: --by NAME, or "by"')
    why = needed("the reason", asked.why, 'say why: --why TEXT, or "why"; it stays in the history for ever')
    if len(why) > MAX_WHY:
        raise ConfigError(f"the reason is over {MAX_WHY} characters", hint="be brief; name a ticket for the rest")
    from_us, to_us = (parse_instant(text, zone) if text else None for text in (asked.from_, asked.to))
    expires_us = parse_instant(asked.expires, zone) if asked.expires else now_us + DEFAULT_DAYS * US_PER_DAY
    if not now_us < expires_us <= now_us + MAX_DAYS * US_PER_DAY:
        raise ConfigError(
            f"it would expire at {iso(expires_us)}", hint=f"a request is decided within {MAX_DAYS} days from now"
        )
    if to_us is not None and "to" in kind.needs:
        if to_us <= (now_us if from_us is None else from_us):
            raise ConfigError(
                f"its effect would end ({iso(to_us)}) before or where it begins",
                hint="without --from it begins when it is granted; --to is the first instant without it",
            )
        if to_us <= now_us:
            raise ConfigError(f"its effect would be over since {iso(to_us)}", hint="nothing begins in the past")
        if to_us - max(now_us, from_us or now_us) > MAX_DAYS * US_PER_DAY:
            raise ConfigError(f"its effect would last over {MAX_DAYS} days", hint="what is for ever is no exception")
        expires_us = min(expires_us, to_us)
    return Terms(by, why, expires_us, from_us, to_us)


def read_wanted(session: Session, asked: Asked, zone: tzinfo) -> Wanted:
    """Return what is asked for in the ledger's words. Raises ConfigError where it names nobody, or is no amount."""
    timed = asked.kind in ("budget", "quota", "exception")
    if asked.currency:
        require_currency(session, asked.currency)
    amount = plain(from_quanta(amount_quanta(asked.amount))) if asked.amount else ""
    if amount.startswith("-") and asked.kind != "adjustment":
        raise ConfigError(f"{amount} is negative", hint="say how much more, as 12.50")
    return Wanted(
        owner=_owner(session, asked.owner, timed=timed),
        amount=amount,
        currency=asked.currency.strip(),
        gpu_hours=_quantity("gpu_hours", asked.gpu_hours),
        gpus=_quantity("gpus", asked.gpus),
        model=words("the model", asked.model),
        pool=words("the pool", asked.pool),
        period=_period(asked.period, zone),
        from_owner=_owner(session, asked.from_owner, timed=False),
        dispute=_number(asked.dispute),
        decision=words("the decision", asked.decision),
        percent=words("the percentage", asked.percent),
        to_owner=_owner(session, asked.to_owner, timed=False),
        content=asked.content,
        source=words("the name of the file", asked.source),
        base=newest_version(session, asked.kind) if asked.content else 0,
    )


def given(asked: Asked) -> dict[str, str]:
    """Return the fields of a request by the names that people write."""
    return {field.encode_name: getattr(asked, field.name) for field in msgspec.structs.fields(asked)}


def _fields(kind: Kind) -> str:
    either = [" or ".join(kind.one_of)] if kind.one_of else []
    return ", ".join([*kind.needs, *either, *(f"[{name}]" for name in kind.may)])


def _owner(session: Session, text: str, *, timed: bool) -> str:
    """Return an owner in full: of what holds for a time any node of the organisation, of a bill a team or nobody."""
    if not text:
        return ""
    return find_node(session, text) if timed else str(find_owner(session, text))


def _quantity(what: str, text: str) -> str:
    if not text:
        return ""
    if not _QUANTITY.fullmatch(text) or not 0 < Decimal(text) <= MAX_QUANTITY:
        raise ConfigError(
            f'{what} "{text[:40]}" is not a number', hint=f"above zero, at most {MAX_QUANTITY:,}, such as 500 or 12.5"
        )
    return plain(Decimal(text))


def _period(text: str, zone: tzinfo) -> str:
    return parse_period(text, zone).label if text else ""


def _number(text: str) -> int:
    if text and not re.fullmatch(r"[1-9]\d{0,8}", text, re.ASCII):
        raise ConfigError(f'"{text[:40]}" is not the number of a dispute', hint="gpuledger dispute list has them")
    return int(text) if text else 0


def newest_version(session: Session, kind: str) -> int:
    """Return the version of the book that a request of `kind` is to follow; 0: there is none yet."""
    statement, column = _BOOKS[kind]
    rows: Sequence[dict[str, int]] = session.execute(statement).to_pylist()
    return rows[0][column] if rows else 0
