"""What a scheduler asks before work starts, whichever scheduler it is. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from collector.enforcement.pods import Gpus
from gpuledger.accounting.units import GPU_PARTS

KUBERNETES = "kubernetes"
SLURM = "slurm"


class Ask(NamedTuple):
    """Who wants how many GPUs for what. `attributes` are what owner rules may match about the holder to be.

    `takes`: what is allowed takes its GPUs now (a pod, a claim, a job); a Deployment or a Job of Kubernetes only hears
    early what its pods will be told. `series` is what the asks of one controller have in common. `notes` say what of it
    could not be seen. `otherwise` are attributes that it may come to have instead: a job may name several partitions.
    """

    source: str
    uid: str
    cluster: str
    operation: str
    kind: str
    namespace: str
    name: str
    user: str
    attributes: Mapping[str, str]
    gpus: tuple[Gpus, ...]
    notes: tuple[str, ...] = ()
    takes: bool = True
    series: str = ""
    priority_class: str = ""
    dry_run: bool = False
    otherwise: tuple[Mapping[str, str], ...] = ()

    @property
    def parts(self) -> int:
        """Return how many parts of a GPU it asks for in all."""
        return sum(each.parts for each in self.gpus)

    @property
    def what(self) -> str:
        """Return what it is, in words."""
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {place}".strip()


def summed(demands: Iterable[tuple[tuple[Gpus, ...], int]]) -> tuple[Gpus, ...]:
    """Return all of several demands together, each so many times."""
    found: Counter[tuple[str, str]] = Counter()
    for gpus, times in demands:
        for each in gpus:
            found[each.model, each.mig_profile] += each.parts * times
    return tuple(Gpus(*name, parts) for name, parts in sorted(found.items()) if parts > 0)


def growth(now: tuple[Gpus, ...], before: tuple[Gpus, ...]) -> tuple[Gpus, ...]:
    """Return what `now` asks for beyond what was asked `before`."""
    return summed([(now, 1), (before, -1)])


def in_gpus(parts: int) -> str:
    """Return a number of GPUs for people: `8`, `0.14`."""
    return f"{(Decimal(parts) / GPU_PARTS).quantize(Decimal('0.01')).normalize():f}"
