"""The number of series is bounded, whatever happens on the node, and sums stay right."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.metrics.ceiling import Ceiling
from agent.metrics.family import COUNTER, GAUGE, Family
from tests.agent.metrics_scene import STEP, Scene
from tests.agent.nodes import T0, board, mig_board, node

ADDITIVE = Family("a_total", COUNTER, "", ("node", "device"), additive=True)
RATIO = Family("b_ratio", GAUGE, "", ("node", "device"))


def filled(family: Family, count: int) -> tuple[Family, list[tuple[str, float]]]:
    return family, [(f'{{node="n",device="{n}"}}', n) for n in range(count)]


def test_small_pages_are_left_alone() -> None:
    """Below the ceiling nothing is touched or counted."""
    ceiling = Ceiling(20, "n")
    page = [filled(ADDITIVE, 10), filled(RATIO, 10)]
    assert ceiling.apply(page) == page
    assert ceiling.dropped == 0


def test_the_largest_families_are_cut_and_the_rest_is_summed() -> None:
    """A counter shows what was cut off as one series; a ratio, whose sum would mean nothing, just ends."""
    ceiling = Ceiling(12, "n")
    small, counter, ratio = ceiling.apply([filled(RATIO, 2), filled(ADDITIVE, 10), filled(RATIO, 10)])
    assert small == filled(RATIO, 2)
    assert counter[1] == [*filled(ADDITIVE, 4)[1], ('{node="n",device="other"}', 4 + 5 + 6 + 7 + 8 + 9)]
    assert ratio == filled(RATIO, 5)
    assert ceiling.dropped == 6 + 5


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=12), st.integers(12, 300))
def test_no_page_is_longer_and_no_sum_is_lost(sizes: list[tuple[bool, int]], most: int) -> None:
    """Whatever the families, the page has at most `most` series and additive families keep their sums."""
    page = [filled(ADDITIVE if additive else RATIO, size) for additive, size in sizes]
    cut = Ceiling(most, "n").apply(page)
    assert sum(len(samples) for _, samples in cut) <= most
    whole = [(family, samples) for family, samples in page if samples]
    for (family, samples), (_, before) in zip(cut, whole, strict=True):
        if family.additive:
            assert sum(value for _, value in samples) == sum(value for _, value in before)


def test_a_counter_that_was_cut_never_counts_backwards() -> None:
    """`other` keeps what it took in, although there would be room again: a smaller sum would look like a restart."""
    ceiling = Ceiling(20, "n")
    ceiling.apply([filled(ADDITIVE, 15), filled(RATIO, 15)])
    (counter,) = ceiling.apply([filled(ADDITIVE, 15)])
    assert len(counter[1]) == 10
    assert ceiling.apply([filled(RATIO, 15)]) == [filled(RATIO, 15)]


def test_a_page_of_many_holders_stays_within_the_ceiling() -> None:
    """400 users on two boards: their shares still sum to one, the overflow is counted and visible under `other`."""
    scene = Scene(max_series=500)
    pids = [range(1_000, 1_200), range(1_200, 1_400)]
    for at_us in range(T0, T0 + 13 * STEP, STEP):
        scene.show(node(*(board(n, *pids[n], utilization_ppm=500_000) for n in range(2))), at_us)
        assert scene.series() <= 500
    for name, expected in (("gpuledger_device_held", 1.0), ("gpuledger_holder_held_seconds_total", 120.0)):
        sums: dict[str, float] = {}
        for (device, _), value in scene.by(name, "device", "holder").items():
            sums[device] = sums.get(device, 0) + value
        assert {device: round(value, 6) for device, value in sums.items()} == {"GPU-0": expected, "GPU-1": expected}
        assert ("GPU-0", "other") in scene.by(name, "device", "holder")
    assert scene.samples("gpuledger_series_dropped_total")[()] > 300
    assert scene.samples("gpuledger_series_limit")[()] == 500


def test_many_devices_stay_within_the_ceiling() -> None:
    """A hundred cut boards with all names on a page that is meant for a few: bounded, and energy still sums."""
    scene = Scene(max_series=500, dcgm_names=True)
    boards = [mig_board(n)._replace(energy_mj=5_000, power_mw=70_000) for n in range(100)]
    scene.show(node(*boards), T0)
    assert scene.series() <= 500
    for name, total in (
        ("gpuledger_device_energy_joules_total", 500),
        ("gpuledger_device_power_watts", 7_000),
        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 500_000),
    ):
        assert sum(scene.samples(name).values()) == total
    assert ("node-a", "other") in scene.by("DCGM_FI_DEV_POWER_USAGE", "Hostname", "UUID")
