"""The price book: which hourly rate applies to a device at an instant, the most specific entry winning.

Entries are compared scope by scope, the first difference decides:

1. an entry that names the cluster before one for all clusters,
2. one that names the node pool before one for all pools,
3. an exact model before a glob, and of two globs the one that fixes more characters,
4. one that names the MIG profile before one that does not.

Two entries that are equally specific, can apply to one device and are valid at the same time make the book unusable.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from gpuledger.accounting.globs import is_glob, literal_characters, matches, may_both_match
from gpuledger.accounting.terms import RateTerms
from gpuledger.accounting.units import GPU_PARTS
from gpuledger.accounting.validity import Validity
from gpuledger.errors import PriceBookError

Specificity = tuple[int, int, int, int, int]


class PriceEntry(NamedTuple):
    """One rate: per hour of a whole GPU or, where `mig_profile` is set, per hour of one instance of that profile.

    An empty `cluster`, `pool` or `mig_profile` stands for all. `model` is NVML's name, or a glob over it.
    `rate_quanta` is what is charged. Where the entry has `terms`, it follows from them, and so does the list rate.
    """

    model: str
    rate_quanta: int
    cluster: str = ""
    pool: str = ""
    mig_profile: str = ""
    carbon_g_per_kwh: Decimal | None = None
    from_us: int | None = None
    to_us: int | None = None
    terms: RateTerms | None = None
    list_rate_quanta: int | None = None  # before the discount; None: the same as the rate
    carbon_region: str = ""  # whose hourly intensity counts, where it is known; else the entry's own

    @property
    def list_quanta(self) -> int:
        """Return the hourly rate before the discount."""
        return self.rate_quanta if self.list_rate_quanta is None else self.list_rate_quanta

    @property
    def follows(self) -> bool:
        """Return whether both rates follow from the terms, where there are any."""
        terms = self.terms
        return terms is None or (self.rate_quanta, self.list_quanta) == (terms.rate_quanta, terms.list_quanta)

    @property
    def validity(self) -> Validity:
        """Return when the entry applies."""
        return Validity(self.from_us, self.to_us)

    @property
    def specificity(self) -> Specificity:
        """Return the entry's rank; of all that apply the highest wins."""
        exact = not is_glob(self.model)
        return (bool(self.cluster), bool(self.pool), exact, literal_characters(self.model), bool(self.mig_profile))

    def describe(self) -> str:
        """Return the entry's scope as messages write it."""
        scope = {"cluster": self.cluster, "pool": self.pool, "mig_profile": self.mig_profile}
        return ", ".join([f'model "{self.model}"', *(f'{name} "{value}"' for name, value in scope.items() if value)])


class Priced(NamedTuple):
    """What a price entry is asked about: a device as the ledger knows it."""

    model: str
    parts: int = GPU_PARTS
    mig_profile: str = ""
    pool: str = ""
    cluster: str = ""


class Price(NamedTuple):
    """The answer: the rate for one hour of the whole device, and the entry (by its place in the book, from 0)."""

    rate_quanta: int
    entry: int
    carbon_g_per_kwh: Decimal | None


class PriceBook:
    """All price entries of one currency, checked against each other. Entries are numbered as given, from 0."""

    def __init__(self, currency: str, entries: Sequence[PriceEntry]) -> None:
        self.currency = currency
        self.entries = tuple(entries)
        _refuse_ambiguity(self.entries)

    def price(self, device: Priced, at_us: int) -> Price | None:
        """Return what `device` costs at `at_us`; None where no entry applies: the device is unpriced, not free."""
        candidates = [
            (entry.specificity, number)
            for number, entry in enumerate(self.entries)
            if entry.validity.holds_at(at_us) and applies(entry, device)
        ]
        if not candidates:
            return None
        number = max(candidates)[1]
        entry = self.entries[number]
        return Price(device_rate_quanta(entry, device.parts), number, entry.carbon_g_per_kwh)


def applies(entry: PriceEntry, device: Priced) -> bool:
    """Return whether `entry` speaks of `device`, validity apart."""
    return (
        entry.cluster in ("", device.cluster)
        and entry.pool in ("", device.pool)
        and entry.mig_profile in ("", device.mig_profile)
        and matches(entry.model, device.model)
    )


def device_rate_quanta(entry: PriceEntry, parts: int) -> int:
    """Return the hourly rate of a whole device of `parts` under `entry`.

    An entry for a MIG profile states the instance's own rate. Any other rate is for a whole GPU: a device of fewer
    parts pays its share of it, rounded half to even to a quantum an hour.
    """
    return _share(entry, entry.rate_quanta, parts)


def device_list_rate_quanta(entry: PriceEntry, parts: int) -> int:
    """Return the hourly list rate of a whole device of `parts`, by the same rule."""
    return _share(entry, entry.list_quanta, parts)


def _share(entry: PriceEntry, rate_quanta: int, parts: int) -> int:
    if entry.mig_profile:
        return rate_quanta
    whole, rest = divmod(rate_quanta * parts, GPU_PARTS)
    if 2 * rest > GPU_PARTS or (2 * rest == GPU_PARTS and whole % 2):
        whole += 1
    return whole


def _refuse_ambiguity(entries: Sequence[PriceEntry]) -> None:
    rivals: defaultdict[tuple[Specificity, str, str, str, str], list[int]] = defaultdict(list)
    for number, entry in enumerate(entries):
        exact = "" if is_glob(entry.model) else entry.model  # two exact models can only meet where they are one
        group = rivals[(entry.specificity, entry.cluster, entry.pool, entry.mig_profile, exact)]
        for earlier in group:
            other = entries[earlier]
            if entry.validity.meets(other.validity) and may_both_match(entry.model, other.model):
                raise PriceBookError(
                    f"price entries {earlier + 1} and {number + 1} overlap: both apply to {entry.describe()}"
                    + ("" if entry.model == other.model else f' and to model "{other.model}"'),
                    hint='end the earlier one with "to", or make one more specific (cluster, pool, exact model)',
                )
        group.append(number)
