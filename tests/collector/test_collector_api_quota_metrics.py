"""Quotas as metrics: limit, use and their ratio; bounded."""

from __future__ import annotations

from collector.api.quota_metrics import MOST, QuotaFigures, quota_families, quota_figures
from collector.governance.quota_positions import PlacedQuota
from gpuledger.accounting.periods import Period
from gpuledger.accounting.quota_tree import Dealt
from gpuledger.accounting.quotas import Lane, Position, Quota
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR


def placed(lane: Lane, owns: int, raised: int, used: int, *, current: bool = True) -> PlacedQuota:
    position = Position(Quota("acme", lane, owns), raised, used, Dealt(0, 0, 0), 0)
    return PlacedQuota(position, 1, Period(0, US_PER_HOUR, "p"), 0, (), (), current)


def samples(quotas: tuple[QuotaFigures, ...]) -> dict[tuple[str, str], float]:
    return {
        (each.name, each.labels.get("period", "")): each.value
        for family in quota_families(quotas)
        for each in family.samples
    }


def test_gpus_and_gpu_hours_are_each_in_their_unit_with_raises() -> None:
    """Two of three GPUs with one raised in, and half an hour of two; what is of another period is not there."""
    found = quota_figures((
        placed(Lane("*"), 2 * GPU_PARTS, GPU_PARTS, 2 * GPU_PARTS),
        placed(Lane("*", "month"), 2 * GPU_PARTS * US_PER_HOUR, 0, GPU_PARTS * US_PER_HOUR // 2),
        placed(Lane("*", "year"), 1, 0, 1, current=False),
    ))  # fmt: skip
    assert samples(found) == {
        ("gpuledger_quota_limit", ""): 3.0,
        ("gpuledger_quota_used", ""): 2.0,
        ("gpuledger_quota_used_ratio", ""): 2 / 3,
        ("gpuledger_quota_limit", "month"): 2.0,
        ("gpuledger_quota_used", "month"): 0.5,
        ("gpuledger_quota_used_ratio", "month"): 0.25,
        ("gpuledger_quotas_left_out", ""): 0,
    }


def test_nothing_owned_has_no_ratio_and_too_many_are_counted() -> None:
    """A ratio to nothing is not known; a page stays short, and says what is not on it."""
    many = tuple(QuotaFigures(str(number), "*", "", 0.0, 1.0) for number in range(MOST + 3))
    families = {each.name: each.samples for each in quota_families(many)}
    assert len(families["gpuledger_quota_used"]) == MOST
    assert families["gpuledger_quota_used_ratio"] == []
    assert families["gpuledger_quotas_left_out"][0].value == 3
    assert list(quota_families(())) == []
