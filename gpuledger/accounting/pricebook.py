"""The price book: which hourly rate applies to a device at an instant, the most specific entry winning.

Entries are compared scope by scope, the first difference decides:

1. an entry of a contract (it applies to what the contract covers) before one without,
2. an entry of an owner (it applies to what that owner holds) before one for everybody; of two such the one that names
   the project, then the team, then the department, then the organisation,
3. an entry that names the cluster before one for all clusters,
4. one that names the node pool before one for all pools,
5. an exact model before a glob, and of two globs the one that fixes more characters,
6. one that names the MIG profile before one that does not.

Two entries that are equally specific, can apply to one device and owner and are valid at the same time make the book
unusable. Time that nobody holds, or that no owner rule names an owner for, is priced by entries without an owner.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from gpuledger.accounting.commitments import Contract
from gpuledger.accounting.globs import is_glob, literal_characters, matches, may_both_match
from gpuledger.accounting.ownership import OWNER_FIELDS, Owner
from gpuledger.accounting.terms import RateTerms
from gpuledger.accounting.units import GPU_PARTS
from gpuledger.accounting.validity import Validity
from gpuledger.errors import PriceBookError

Specificity = tuple[int, ...]
NOBODY: Final = Owner()


class PriceEntry(NamedTuple):
    """One rate: per hour of a whole GPU or, where `mig_profile` is set, per hour of one instance of that profile.

    An empty `cluster`, `pool` or `mig_profile` stands for all, and so do an empty `contract` and empty levels of the
    owner. `model` is NVML's name, or a glob over it.
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
    organisation: str = ""
    department: str = ""
    team: str = ""
    project: str = ""
    contract: str = ""

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
    def owner(self) -> Owner:
        """Return whose time the entry is for; all levels are empty where it is for everybody's."""
        return Owner(self.organisation, self.department, self.team, self.project)

    @property
    def specificity(self) -> Specificity:
        """Return the entry's rank; of all that apply the highest wins."""
        whose = (bool(self.contract), *(bool(level) for level in reversed(self.owner)))
        model = (not is_glob(self.model), literal_characters(self.model))
        return (*whose, bool(self.cluster), bool(self.pool), *model, bool(self.mig_profile))

    def describe(self) -> str:
        """Return the entry's scope as messages write it."""
        names = ("cluster", "pool", "mig_profile", *OWNER_FIELDS, "contract")
        scope = {name: getattr(self, name) for name in names}
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
    """All price entries of one currency and the contracts that they name, checked against each other.

    Entries are numbered as given, from 0.
    """

    def __init__(self, currency: str, entries: Sequence[PriceEntry], contracts: Sequence[Contract] = ()) -> None:
        self.currency = currency
        self.entries = tuple(entries)
        self.contracts = tuple(contracts)
        self.owners = tuple(sorted({entry.owner for entry in entries} - {NOBODY}))  # that have prices of their own
        _refuse_unknown_contracts(self.entries, self.contracts)
        _refuse_ambiguity(self.entries)

    def price(self, device: Priced, at_us: int, owner: Owner | None = None, contract: str = "") -> Price | None:
        """Return what `device` costs at `at_us` while `owner` holds it and `contract` covers it (none, where not).

        None where no entry applies: the device is unpriced, not free.
        """
        candidates = [
            (entry.specificity, number)
            for number, entry in enumerate(self.entries)
            if entry.validity.holds_at(at_us)
            and applies(entry, device)
            and entry.contract in ("", contract)
            and is_for(entry.owner, owner)
        ]
        if not candidates:
            return None
        number = max(candidates)[1]
        entry = self.entries[number]
        return Price(device_rate_quanta(entry, device.parts), number, entry.carbon_g_per_kwh)


def is_for(wanted: Owner, owner: Owner | None) -> bool:
    """Return whether an entry of `wanted` is for what `owner` holds (None: nobody does)."""
    return wanted == NOBODY or (
        owner is not None and all(name in ("", value) for name, value in zip(wanted, owner, strict=True))
    )


def applies(entry: PriceEntry, device: Priced) -> bool:
    """Return whether `entry` speaks of `device`; validity, owner and contract apart."""
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


def _refuse_unknown_contracts(entries: Sequence[PriceEntry], contracts: Sequence[Contract]) -> None:
    names = [contract.name for contract in contracts]
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        raise PriceBookError(f'two contracts are called "{twice}"', hint="a price entry names one of them: rename one")
    for number, entry in enumerate(entries):
        if entry.contract and entry.contract not in names:
            near = difflib.get_close_matches(entry.contract, names, n=1)
            meant = f'did you mean "{near[0]}"?' if near else "define it in the same file: [[contract]] name = ..."
            raise PriceBookError(
                f'price entry {number + 1} is for the contract "{entry.contract}", which there is not', hint=meant
            )


def _refuse_ambiguity(entries: Sequence[PriceEntry]) -> None:
    rivals: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, entry in enumerate(entries):
        exact = "" if is_glob(entry.model) else entry.model  # two exact models can only meet where they are one
        # entries of two contracts never meet: a device is covered by one at a time; nor do those of two owners that
        # name the same levels
        names = (entry.contract, entry.owner, entry.cluster, entry.pool, entry.mig_profile, exact)
        group = rivals[(entry.specificity, *names)]
        for earlier in group:
            other = entries[earlier]
            if entry.validity.meets(other.validity) and may_both_match(entry.model, other.model):
                raise PriceBookError(
                    f"price entries {earlier + 1} and {number + 1} overlap: both apply to {entry.describe()}"
                    + ("" if entry.model == other.model else f' and to model "{other.model}"'),
                    hint='end the earlier one with "to", or make one more specific (cluster, pool, exact model)',
                )
        group.append(number)
