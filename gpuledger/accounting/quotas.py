"""Quotas: how many GPUs an owner may hold at once, or use hours of in a period, and what one that asks for more hears.

GPUs are counted in parts (840 are one), GPU-hours in microseconds x parts. Quotas of one model and period are a lane:
within it they lend each other what they leave, in the tree of the organisation (`quota_tree`). A node of which parts
are given to nodes beneath it keeps the rest for all others beneath it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from copy import copy
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final, NamedTuple, Self

from gpuledger.accounting.budgets import EVERYTHING, NOTIFY, Stage, in_order
from gpuledger.accounting.globs import matches
from gpuledger.accounting.quota_tree import ROOT, Dealt, Node, QuotaTree
from gpuledger.accounting.units import GPU_PARTS, gpu_hours
from gpuledger.accounting.validity import Validity

DEVICES: Final = "devices"
GPU_HOURS: Final = "gpu_hours"
_MILLIS: Final = 100_000  # thousandths of a per cent in the whole


class Lane(NamedTuple):
    """What a quota is of: a model (NVML's name, or a pattern), and a period; without one, GPUs at once."""

    model: str
    period: str = ""

    @property
    def of(self) -> str:
        """Return what is counted."""
        return GPU_HOURS if self.period else DEVICES

    def applies(self, model: str) -> bool:
        """Return whether GPUs of a model count. Of work that names no model, only a quota of all models knows."""
        return matches(self.model, model) if model else self.model == EVERYTHING


class Quota(NamedTuple):
    """One entry of the quota book: `owns` in parts, or in microseconds x parts where it has a period.

    `borrow` is the most that it has above that (None: all that others lend), `lend` the most that others have of it
    (None: all that it leaves).
    """

    owner: str
    lane: Lane
    owns: int
    borrow: int | None = 0
    lend: int | None = None
    stages: tuple[Stage, ...] = ()
    from_us: int | None = None
    to_us: int | None = None

    @property
    def validity(self) -> Validity:
        """Return when the entry holds."""
        return Validity(self.from_us, self.to_us)

    @property
    def key(self) -> str:
        """Return what stays the same when the amount is another: entries of one key follow each other in time."""
        return f"{self.owner} {self.lane.model} {self.lane.period or DEVICES}"


def stage_key(stage: Stage) -> str:
    """Return what tells a stage apart from the others of its quota."""
    return f"{stage.action} at {stage.percent} %"


class Position(NamedTuple):
    """Where a quota stands: raises of it and of those beneath it, what all beneath it use, and how that is dealt.

    `room` is how much more those may use that no quota beneath it is for.
    """

    quota: Quota
    raised: int
    used: int
    dealt: Dealt
    room: int

    @property
    def whole(self) -> int:
        """Return what is its own now."""
        return self.quota.owns + self.raised

    def in_words(self) -> str:
        """Return how much of it is used: `14 of 16 GPUs are held by acme/research (NVIDIA H100*)`."""
        quota = self.quota
        used, whole = counted(quota.lane, self.used), counted(quota.lane, self.whole)
        whose = "everybody" if quota.owner == EVERYTHING else quota.owner
        model = "" if quota.lane.model == EVERYTHING else f" ({quota.lane.model})"
        if quota.lane.of == GPU_HOURS:
            return f"{used} of {whole} GPU-hours are used by {whose}{model}"
        return f"{used} of {whole} GPUs are held by {whose}{model}"

    def percent_millis(self) -> int | None:
        """Return use in thousandths of a per cent of its own, rounded down; over 100 % is borrowed or beyond."""
        return self.used * _MILLIS // self.whole if self.whole else None

    def reached(self) -> list[Stage]:
        """Return the stages that are reached, in their order."""
        return [each for each in in_order(self.quota.stages) if self.used and self._at(self.used, each) >= 0]

    def stopped_by(self, more: int) -> list[Stage]:
        """Return the stages that hold or block `more` on top: of GPUs those that it would go past, of hours any."""
        stops = [each for each in in_order(self.quota.stages) if each.action != NOTIFY]
        if self.quota.lane.of == GPU_HOURS:
            return [each for each in stops if each in self.reached()]
        return [each for each in stops if self._at(self.used + more, each) > 0]

    def _at(self, used: int, stage: Stage) -> int:
        return used * _MILLIS - stage.percent_millis * self.whole


class LaneStand:
    """The quotas of a lane that hold at an instant, and what of them is used.

    `raised` and `used` are by owner: raises by that of the quota, use by anybody's path; use that no quota is of counts
    nowhere. `quotas` are of one lane, each owner's once, and what is given beneath a node is no more than it has.
    """

    def __init__(self, lane: Lane, quotas: Iterable[Quota], raised: Mapping[str, int], used: Mapping[str, int]) -> None:
        self.lane = lane
        self.quotas = {each.owner: each for each in sorted(quotas, key=lambda each: (depth(each.owner), each.owner))}
        self._raised = {owner: amount for owner, amount in raised.items() if owner in self.quotas}
        counted = self._counted(used)  # by the owner of the quota that it counts in
        self._place: dict[str, int] = {}  # of what an owner has in all
        self._leaf: dict[str, int] = {}  # of what of it nobody beneath has a quota of
        self.tree = QuotaTree(self._nodes(counted))
        self._used = self._upwards(counted)
        self._raises = self._upwards(self._raised)

    def owner_of(self, path: str) -> str | None:
        """Return whose quota work of an owner counts in: the nearest above it; None where there is none."""
        return next((each for each in upwards(path) if each in self.quotas), None)

    def with_more(self, more: Mapping[str, int]) -> LaneStand:
        """Return the same with more used by owners."""
        return copy(self).take(more) if more else self

    def take(self, more: Mapping[str, int]) -> Self:
        """Use more, here and in no copy; return itself."""
        counted = self._counted(more)
        self.tree = self.tree.with_more({self._leaf[owner]: amount for owner, amount in counted.items()})
        self._used = dict(self._used)
        for owner, amount in counted.items():
            for each in upwards(owner):
                self._used[each] = self._used.get(each, 0) + amount
        return self

    def room(self, owner: str) -> int:
        """Return how much more may be used that counts in exactly this owner's quota."""
        return self.tree.room(self._leaf[owner])

    def positions(self) -> list[Position]:
        """Return where each quota stands, the widest owner first."""
        dealt = self.tree.settle()
        return [self._position(each, dealt[self._place[owner]]) for owner, each in self.quotas.items()]

    def above(self, owner: str) -> list[Position]:
        """Return where the quota of this owner and those of what it is a part of stand, the narrowest first."""
        return [self._position(self.quotas[each]) for each in upwards(owner) if each in self.quotas]

    def _position(self, quota: Quota, dealt: Dealt | None = None) -> Position:
        owner = quota.owner
        room = self.room(owner)
        return Position(quota, self._raises.get(owner, 0), self._used.get(owner, 0), dealt or Dealt(0, 0, 0), room)

    def _counted(self, used: Mapping[str, int]) -> dict[str, int]:
        """Return use by the owner of the quota that it counts in."""
        found: dict[str, int] = {}
        for path, amount in used.items():
            mine = self.owner_of(path)
            if mine is not None:
                found[mine] = found.get(mine, 0) + amount
        return found

    def _upwards(self, amounts: Mapping[str, int]) -> dict[str, int]:
        """Return the sums of all beneath each owner."""
        found: dict[str, int] = {}
        for owner, amount in amounts.items():
            for each in upwards(owner):
                found[each] = found.get(each, 0) + amount
        return found

    def _nodes(self, counted: Mapping[str, int]) -> list[Node]:
        """Return the tree: a root for those that no quota is above, by where they are; the rest of a node as a leaf."""
        given: dict[str, int] = {}
        for owner, each in self.quotas.items():
            above = over_of(owner, self.quotas)
            if above is not None:
                given[above] = given.get(above, 0) + each.owns
        nodes: list[Node] = []
        roots: dict[str, int] = {}
        for owner, each in self.quotas.items():
            above = over_of(owner, self.quotas)
            group = owner.rpartition("/")[0]
            if above is None and group not in roots:
                roots[group] = len(nodes)
                nodes.append(Node(ROOT))
            parent = roots[group] if above is None else self._place[above]
            self._place[owner] = self._leaf[owner] = len(nodes)
            leaf = Node(parent, each.owns + self._raised.get(owner, 0), counted.get(owner, 0), each.borrow, each.lend)
            if owner in given:
                nodes.append(Node(parent, borrow=each.borrow, lend=each.lend))
                self._leaf[owner] = len(nodes)
                leaf = Node(self._place[owner], leaf.owns - given[owner], leaf.used, each.borrow)
            nodes.append(leaf)
        return nodes


@lru_cache(maxsize=8192)
def upwards(owner: str) -> tuple[str, ...]:
    """Return an owner, all that it is a part of, and everything; of nobody in particular, everything alone."""
    parts = [] if owner == EVERYTHING else [part for part in owner.split("/") if part]
    return (*("/".join(parts[:end]) for end in range(len(parts), 0, -1)), EVERYTHING)


def counted(lane: Lane, amount: int) -> str:
    """Return GPUs with the part of one as a fraction (`2`, `2/7`, `3 1/2`), or GPU-hours to two decimals."""
    if lane.of == GPU_HOURS:
        return f"{gpu_hours(amount):,.2f}".rstrip("0").rstrip(".")
    whole, rest = divmod(amount, GPU_PARTS)
    part = str(Fraction(rest, GPU_PARTS)) if rest else ""
    return " ".join(filter(None, (f"{whole:,}" if whole or not rest else "", part)))


def depth(owner: str) -> int:
    """Return how far down an owner is; everything is above all."""
    return 0 if owner == EVERYTHING else 1 + owner.count("/")


def over_of(owner: str, owners: Container[str]) -> str | None:
    """Return the nearest of `owners` that an owner is a part of, besides itself; None where there is none."""
    return next((each for each in upwards(owner) if each != owner and each in owners), None)


def given_too_much(quotas: Sequence[Quota]) -> tuple[int, int] | None:
    """Return by place a quota of which more is given beneath it than it has, and an entry by which; None of none.

    Quotas of all lanes and times: at each instant at which any of them begins or ends, as they hold then.
    """
    for at_us in sorted({at_us or 0 for each in quotas for at_us in each.validity}):
        valid = [place for place, each in enumerate(quotas) if each.validity.holds_at(at_us)]
        for lane in dict.fromkeys(quotas[place].lane for place in valid):
            mine = {quotas[place].owner: place for place in valid if quotas[place].lane == lane}
            given: dict[str, int] = {}
            for owner, place in mine.items():
                above = over_of(owner, mine)
                if above is None:
                    continue
                given[above] = given.get(above, 0) + quotas[place].owns
                if given[above] > quotas[mine[above]].owns:
                    return mine[above], place
    return None


class Raise(NamedTuple):
    """What was approved on top of an owner's quota: of a model, or of whichever it has (empty)."""

    name: str
    owner: str
    of: str
    model: str
    amount: int


def spread_raises(quotas: Sequence[Quota], raises: Iterable[Raise]) -> tuple[dict[tuple[str, Lane], int], list[Raise]]:
    """Return how much each quota (by owner and lane) is raised, and the raises that are of none.

    One of a model raises all quotas that count that model. One that names none raises the quota of all models; where
    there is none such, the only one that there is. `quotas` hold at one instant.
    """
    found: dict[tuple[str, Lane], int] = {}
    lost = []
    for each in raises:
        mine = [quota for quota in quotas if quota.owner == each.owner and quota.lane.of == each.of]
        if each.model:
            chosen = [quota for quota in mine if quota.lane.model == each.model or quota.lane.applies(each.model)]
        else:
            chosen = [quota for quota in mine if quota.lane.model == EVERYTHING] or (mine if len(mine) == 1 else [])
        if not chosen:
            lost.append(each)
        for quota in chosen:
            key = quota.owner, quota.lane
            found[key] = found.get(key, 0) + each.amount
    return found, lost


def percent(millis: int) -> Decimal:
    """Return thousandths of a per cent as per cents."""
    return Decimal(millis).scaleb(-3)
