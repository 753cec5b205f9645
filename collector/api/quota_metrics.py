"""Quotas as metrics: what an owner may have, what of it is used, and the ratio of both.

Labels are the owner, the model and the kind of period (empty: GPUs at once), of the quotas that hold now: `MOST` at
most, in the order of the book, and how many were left out has a metric of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily, Metric

from collector.governance.quota_positions import PlacedQuota
from gpuledger.accounting.quotas import DEVICES
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR

MOST: Final = 2_000
_LABELS: Final = ("owner", "model", "period")


class QuotaFigures(NamedTuple):
    """One quota that holds now: GPUs, or GPU-hours of its period; `limit` with raises in force."""

    owner: str
    model: str
    period: str
    limit: float
    used: float

    @property
    def ratio(self) -> float | None:
        """Return what is used by the limit; None where nothing may be used."""
        return self.used / self.limit if self.limit else None


def quota_figures(placed: Iterable[PlacedQuota]) -> tuple[QuotaFigures, ...]:
    """Return where quotas stand in the period that is now."""
    return tuple(_figures(each) for each in placed if each.current)


def quota_families(quotas: Sequence[QuotaFigures]) -> Iterable[Metric]:
    """Yield where quotas stand; nothing where there is none."""
    if not quotas:
        return
    yield _family("limit", "GPUs at once (no period), or GPU-hours of a period, that an owner may have, with raises in "
                  "force", quotas, lambda each: each.limit)  # fmt: skip
    yield _family("used", "What of it is held now, or used of the period", quotas, lambda each: each.used)
    yield _family("used_ratio", "What is used, by the limit; over 1 is borrowed or beyond", quotas,
                  lambda each: each.ratio)  # fmt: skip
    yield GaugeMetricFamily(
        "gpuledger_quotas_left_out",
        "Quotas without metrics of their own, since there are too many",
        value=max(0, len(quotas) - MOST),
    )


def _figures(placed: PlacedQuota) -> QuotaFigures:
    quota, position = placed.quota, placed.position
    unit = GPU_PARTS if quota.lane.of == DEVICES else GPU_PARTS * US_PER_HOUR
    return QuotaFigures(quota.owner, quota.lane.model, quota.lane.period, position.whole / unit, position.used / unit)


def _family(
    name: str, says: str, quotas: Sequence[QuotaFigures], value_of: Callable[[QuotaFigures], float | None]
) -> Metric:
    family = GaugeMetricFamily(f"gpuledger_quota_{name}", says, labels=_LABELS)
    for each in quotas[:MOST]:
        value = value_of(each)
        if value is not None:
            family.add_metric([each.owner, each.model, each.period], value)
    return family
