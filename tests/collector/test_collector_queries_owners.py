"""Owner rules explained for a holder, and a mapping held against the ledger before it is imported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.ledger.store import Ledger
from collector.periods.closing import close_period
from collector.pricing.files import parse_owner_map
from collector.pricing.imports import import_directory
from collector.queries.books import owners as owners_of
from collector.queries.owner_moves import OwnerTest, owner_moves
from collector.queries.owner_trials import owner, try_owner
from collector.rating import rate_dirty
from gpuledger.accounting.ownership import OwnerMap
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConfigError
from tests.collector.batches import START_US, frame, holder, records
from tests.collector.fleet import NOW_US, charges, open_ledger, owners, prices

HOUR = US_PER_HOUR
PERIOD = Period(START_US, START_US + 4 * HOUR, "four hours")
RULES = """
[[owner]]
team = "vision"
match.namespace = "team-1"
[[owner]]
team = "rest"
department = "ops"
match.kind = "*"
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give a ledger of one GPU that a pod of team-1 and one of team-2 held for two hours each."""
    with open_ledger(tmp_path) as found:
        pods = [holder(1), holder(2, user="zoe")]
        usage = [
            *records("GPU-0001", START_US, START_US + 2 * HOUR, pods[0].key),
            *records("GPU-0001", START_US + 2 * HOUR, START_US + 4 * HOUR, pods[1].key),
        ]
        assert found.ingest([frame(0, usage, holders=pods)])[0].taken
        prices(found, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2"\n')
        owners(found, RULES)
        rate_dirty(found)
        yield found


def mapping(text: str) -> OwnerMap:
    return parse_owner_map(text.encode(), "toml", "new.toml")


def moved(found: OwnerTest) -> list[tuple[str | None, str | None, float, str | None]]:
    return [(row.from_team, row.to_team, row.gpu_hours, row.cost) for row in found.rows]


def test_a_holder_is_explained_rule_by_rule(ledger: Ledger) -> None:
    """What applies says what it met, what does not says why; without an instant it is when the holder last was there."""
    found = owner(ledger, holder="pod:uid-2/c")
    assert (found.version, found.at) == (1, iso(START_US + 3 * HOUR))
    assert [(row.rule, row.team, row.applies, row.why) for row in found.rows] == [
        (1, "vision", False, 'namespace "team-2" does not match "team-1"'),
        (2, "rest", True, 'kind "pod" matches "*"'),
    ]
    (payer,) = found.owners
    assert (payer.cluster, payer.team, payer.department) == ("c1", "rest", "ops")
    assert payer.because == 'rule 2: kind "pod" matches "*"'
    assert (payer.attributes["namespace"], payer.attributes["label.app"]) == ("team-2", "train")


def test_a_file_is_tried_with_the_directory_and_not_stored(ledger: Ledger) -> None:
    """The same question by rules that nobody imported; the ledger's own mapping stays as it was."""
    people = b"user,team\nzoe,robots\n"
    import_directory(ledger, people, "csv", source="people.csv", imported_us=NOW_US)
    rules = mapping('[[owner]]\nteam = "{directory.team}"\nmatch.directory.team = "*"\n')
    found = try_owner(ledger, rules, holder="pod:uid-2/c", at=START_US)
    assert (found.version, found.owners[0].team) == (None, "robots")
    nobody = try_owner(ledger, rules, holder="pod:uid-1/c", at=START_US)
    assert (nobody.owners[0].team, nobody.rows[0].why) == (None, "it has no directory.team")
    assert owners_of(ledger).rows[0].team == "vision"


def test_who_never_held_anything_cannot_be_explained(ledger: Ledger, tmp_path: Path) -> None:
    """An unknown holder, and a ledger without a mapping, are errors with the next step."""
    with pytest.raises(ConfigError, match='no holder "pod:x" held a device'):
        owner(ledger, holder="pod:x")
    with open_ledger(tmp_path / "other") as empty, pytest.raises(ConfigError, match="no owner mapping"):
        owner(empty, holder="pod:x")


def test_the_same_mapping_moves_nothing(ledger: Ledger) -> None:
    """Tried against itself a mapping moves no hour."""
    found = owner_moves(ledger, mapping(RULES), PERIOD)
    assert (found.gpu_hours, found.moved_gpu_hours, found.rows, found.rules) == (4.0, 0.0, [], 2)


def test_a_new_mapping_says_what_moves_where(ledger: Ledger) -> None:
    """A team that is renamed from the second hour on, and one that nobody is in any more; nothing is stored."""
    new = f"""
[[owner]]
team = "language"
match.namespace = "team-1"
from = {iso(START_US + HOUR)}
[[owner]]
team = "vision"
match.namespace = "team-1"
"""
    before = [row["team"] for row in charges(ledger)]
    found = owner_moves(ledger, mapping(new), PERIOD)
    assert moved(found) == [("rest", None, 2.0, "4.00"), ("vision", "language", 1.0, "2.00")]
    assert (found.gpu_hours, found.moved_gpu_hours, found.currency) == (4.0, 3.0, "EUR")
    assert (found.rows[0].from_owner, found.rows[0].to_owner) == ("ops > rest", "")
    assert [row["team"] for row in charges(ledger)] == before
    assert rate_dirty(ledger).hours == 0


def test_what_is_said_to_move_moves(ledger: Ledger) -> None:
    """Imported, the mapping changes the charges by exactly what the test of it said."""
    new = RULES.replace('"team-1"', '"team-2"')
    said = moved(owner_moves(ledger, mapping(new), PERIOD))
    assert said == [("rest", "vision", 2.0, "4.00"), ("vision", "rest", 2.0, "4.00")]
    before = [row["team"] for row in charges(ledger)]
    owners(ledger, new)
    rate_dirty(ledger)
    after = [row["team"] for row in charges(ledger)]
    assert list(zip(before, after, strict=True)) == [("vision", "rest")] * 2 + [("rest", "vision")] * 2


def test_closed_hours_never_move(ledger: Ledger) -> None:
    """What is on a closed bill is not counted: no mapping can move it."""
    close_period(ledger, Period(START_US, START_US + 2 * HOUR, "first"), closed_by="ann", exception="for the test")
    found = owner_moves(ledger, mapping(RULES.replace("vision", "language")), PERIOD)
    assert (found.gpu_hours, found.rows) == (2.0, [])


def test_rules_without_work_are_named(ledger: Ledger) -> None:
    """The test of a mapping warns as its import would."""
    found = owner_moves(ledger, mapping('[[owner]]\nteam = "x"\nmatch.user = "nobody"\n'), PERIOD)
    assert found.warnings == ["owner rule 1 (team x) matches no holder that the ledger knows"]
