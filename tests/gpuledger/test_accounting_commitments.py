"""Contracts: what they cover, who comes first, and that what is committed is covered or short, to the microsecond."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.commitments import Contract, Machine, Spell, cover, covers
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR

SPAN = Interval(0, 1_000)
HOUR = US_PER_HOUR


def contract(name: str = "a", gpus: int = 1, **changes: object) -> Contract:
    return Contract(**{"name": name, "cluster": "c", "gpus": gpus, "rate_quanta": 10**9, **changes})  # type: ignore[arg-type]


def machine(key: str, *lives: tuple[int, int], **changes: object) -> Machine:
    fields: dict[str, object] = {
        "device": key, "device_key": key, "node": "n1", "cluster": "c", "pool": "", "model": "H100",
        "mig_profile": "", "size": GPU_PARTS, "lives": tuple(Interval(*life) for life in lives or [SPAN]),
    }  # fmt: skip
    return Machine(**{**fields, **changes})  # type: ignore[arg-type]


@st.composite
def machines(draw: st.DrawFn) -> list[Machine]:
    """Return devices of any size that come and go."""
    found = []
    for number in range(draw(st.integers(0, 6))):
        bounds = sorted(draw(st.sets(st.integers(-200, 1_200), min_size=2, max_size=4)))
        lives = list(zip(bounds[::2], bounds[1::2], strict=False))
        size = draw(st.sampled_from([120, 360, GPU_PARTS, 3 * GPU_PARTS]))
        found.append(machine(f"d{number}", *lives, size=size, model=draw(st.sampled_from(["H100", "A100"]))))
    return found


contracts = st.lists(
    st.builds(
        contract,
        st.sampled_from("abcdefgh"),
        st.integers(1, 4),
        model=st.sampled_from(["*", "H100"]),
        rate_quanta=st.integers(0, 10**12),
        from_us=st.integers(0, 900),
        to_us=st.none() | st.integers(901, 1_500),
    ),
    max_size=3,
    unique_by=lambda each: each.name,
)


@given(contracts, machines(), st.randoms())
def test_committed_is_covered_plus_short(book: list[Contract], fleet: list[Machine], random: object) -> None:
    """At every instant at most so many parts are covered as are committed, and none is twice; order of arrival is nothing."""
    found = cover(book, fleet, SPAN)
    for each in found.settled:
        assert each.committed_part_us == each.covered_part_us + each.short_part_us
        assert each.committed_part_us == each.contract.gpus * GPU_PARTS * each.within.length_us
        assert each.committed_quanta == each.covered_quanta + each.short_quanta
        assert min(each.covered_part_us, each.short_part_us, each.covered_quanta, each.short_quanta) >= 0
    edges = sorted({0, *(at for spells in found.spells.values() for spell in spells for at in spell[:2])})
    by_key = {each.device: each for each in fleet}
    for at_us in edges:
        now = [
            (key, spell.contract)
            for key, spells in found.spells.items()
            for spell in spells
            if spell.start_us <= at_us < spell.end_us
        ]
        assert len({key for key, _ in now}) == len(now), "no device by two contracts"
        for each in book:
            assert sum(by_key[key].size for key, name in now if name == each.name) <= each.gpus * GPU_PARTS
        assert all(any(life.start_us <= at_us < life.end_us for life in by_key[key].lives) for key, _ in now)
    shuffled = list(fleet)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert cover(book, shuffled, SPAN) == found


@given(contracts, machines(), st.integers(1, 999))
def test_what_is_covered_at_an_instant_does_not_depend_on_what_is_asked_about(
    book: list[Contract], fleet: list[Machine], cut_us: int
) -> None:
    """Two halves of a time say what the whole says."""
    whole = cover(book, fleet, SPAN)
    halves = [cover(book, fleet, part) for part in (Interval(0, cut_us), Interval(cut_us, 1_000))]
    for name in {each.name for each in book}:
        sums = [
            sum(each.short_part_us for each in found.settled if each.contract.name == name)
            for found in (whole, *halves)
        ]
        assert sums[0] == sums[1] + sums[2]
    for key, spells in whole.spells.items():
        for at_us in (0, cut_us - 1, cut_us, 999):
            half = halves[at_us >= cut_us].spells.get(key, [])
            assert _at(spells, at_us) == _at(half, at_us)


def _at(spells: list[Spell], at_us: int) -> set[str]:
    return {spell.contract for spell in spells if spell.start_us <= at_us < spell.end_us}


def test_the_first_by_key_are_covered_and_another_steps_in() -> None:
    """Of three GPUs a contract over two covers the first two; where one of them goes, the third comes in."""
    found = cover([contract(gpus=2)], [machine("g3"), machine("g1", (0, 400)), machine("g2")], SPAN)
    assert found.spells == {
        "g1": [Spell(0, 400, "a")],
        "g2": [Spell(0, 1_000, "a")],
        "g3": [Spell(400, 1_000, "a")],
    }
    assert [each.short_part_us for each in found.settled] == [0]


def test_a_shortfall_is_what_was_not_there() -> None:
    """Eight GPUs for three hours at 1.90, of which six came and one left after an hour: eight GPU-hours are short."""
    fleet = [machine(f"g{number}", (0, 3 * HOUR)) for number in range(5)] + [machine("g9", (0, HOUR))]
    [found] = cover([contract(gpus=8, rate_quanta=1_900_000_000)], fleet, Interval(0, 3 * HOUR)).settled
    assert found.short_part_us == 8 * GPU_PARTS * HOUR
    assert (found.committed_quanta, found.short_quanta) == (24 * 1_900_000_000, 8 * 1_900_000_000)


def test_a_device_is_covered_whole_or_not_at_all() -> None:
    """A pool of three GPUs does not fit into two: it is passed over, and what is smaller behind it is not."""
    found = cover([contract(gpus=2)], [machine("a", size=3 * GPU_PARTS), machine("b", size=120)], SPAN)
    assert list(found.spells) == ["b"]


def test_an_earlier_contract_has_a_device_first() -> None:
    """A device that both could cover is the earlier one's, as long as that runs."""
    found = cover([contract("a", to_us=300), contract("b")], [machine("g1")], SPAN)
    assert found.spells == {"g1": [Spell(0, 300, "a"), Spell(300, 1_000, "b")]}
    assert [each.short_part_us for each in found.settled] == [0, 300 * GPU_PARTS]


def test_a_contract_names_which_devices_it_may_cover() -> None:
    """Cluster and pool by name, model, profile and node by pattern."""
    each = machine("g", node="gpu-7", pool="train", model="NVIDIA H100 PCIe", mig_profile="1g.10gb")
    assert covers(contract(pool="train", model="NVIDIA H100*", mig_profile="1g.*", node="gpu-*"), each)
    for changes in ({"pool": "spot"}, {"model": "A*"}, {"mig_profile": "2g.*"}, {"node": "x*"}, {"cluster": "other"}):
        assert not covers(contract(**changes), each)
