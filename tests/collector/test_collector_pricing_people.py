"""The directory of people: a dated file whose places become the owners of their users' time, and stay on old bills."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.ledger.store import Ledger
from collector.periods.closing import close_period
from collector.pricing.imports import ImportReport, import_directory
from collector.pricing.people import parse_directory
from collector.queries.books import directory as directory_of
from collector.queries.reconcile import reconcile
from collector.rating import rate_dirty
from gpuledger.accounting.directory import Membership
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import OwnerMappingError
from tests.collector.batches import START_US, frame, holder, records
from tests.collector.fleet import NOW_US, charges, open_ledger, owners, prices

HOUR = US_PER_HOUR
RULES = """
[[owner]]
team = "{directory.team}"
match.directory.team = "*"
[[owner]]
team = "nobody's"
match.kind = "*"
"""
MOVES = f"user,team,department,from,to\nana,vision,research,,{iso(START_US + HOUR)}\nana,speech,,{iso(START_US + 2 * HOUR)},\n"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give a ledger of one GPU that ana's job held for three hours."""
    job = holder(1, key="slurm:7", kind="slurm_step", namespace="", user="ana")
    with open_ledger(tmp_path) as found:
        usage = records("GPU-0001", START_US, START_US + 3 * HOUR, job.key)
        assert found.ingest([frame(0, usage, holders=[job])])[0].taken
        prices(found, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2"\n')
        owners(found, RULES)
        rate_dirty(found)
        yield found


def take(ledger: Ledger, text: str) -> ImportReport:
    return import_directory(ledger, text.encode(), "csv", source="people.csv", imported_us=NOW_US)


def teams(ledger: Ledger) -> list[str | None]:
    return [row["team"] for row in charges(ledger)]


def test_time_follows_who_was_where_when(ledger: Ledger) -> None:
    """Ana pays with vision, then with nobody, then with speech; without a directory no rule that asks it matches."""
    assert teams(ledger) == ["nobody's"] * 3
    report = take(ledger, MOVES)
    assert (report.version, report.entries, report.changed) == (1, 2, True)
    assert rate_dirty(ledger).hours == 2
    assert teams(ledger) == ["vision", "nobody's", "speech"]
    assert [row["owner_version"] for row in charges(ledger)] == [2, 1, 2]
    assert reconcile(ledger, Period(START_US, START_US + 3 * HOUR, "three hours")).ok


def test_the_same_file_changes_nothing_and_a_new_one_only_what_moved(ledger: Ledger) -> None:
    """A place that stays as it was marks no hour; only who moved is rated again."""
    take(ledger, MOVES)
    rate_dirty(ledger)
    assert not take(ledger, MOVES).changed
    assert rate_dirty(ledger).hours == 0
    assert take(ledger, MOVES.replace("speech", "robots")).version == 2
    assert rate_dirty(ledger).hours == 1
    assert teams(ledger) == ["vision", "nobody's", "robots"]


def test_a_new_mapping_keeps_the_directory(ledger: Ledger) -> None:
    """Importing rules does not forget the people."""
    take(ledger, MOVES)
    owners(ledger, RULES.replace("nobody's", "rest"))
    rate_dirty(ledger)
    assert teams(ledger) == ["vision", "rest", "speech"]


def test_a_closed_period_keeps_the_directory_that_it_was_closed_with(ledger: Ledger) -> None:
    """Who moves later stays where the bill had them: late usage is owned by the pinned version."""
    take(ledger, MOVES)
    rate_dirty(ledger)
    period = Period(START_US, START_US + 3 * HOUR, "three hours")
    close_period(ledger, period, closed_by="ann", exception="for the test")
    take(ledger, MOVES.replace("vision", "robots"))
    rate_dirty(ledger)
    assert teams(ledger) == ["vision", "nobody's", "speech"]
    job = holder(1, key="slurm:8", kind="slurm_step", namespace="", user="ana")
    late = records("GPU-0002", START_US, START_US + HOUR, job.key)
    assert ledger.ingest([frame(1, late, holders=[job])])[0].taken
    rate_dirty(ledger)
    restated = ledger.execute("corrections_waiting").to_pylist()
    assert restated
    assert reconcile(ledger, period).ok


def test_without_a_mapping_nothing_asks_a_directory(tmp_path: Path) -> None:
    """A directory alone says nothing about owners, and is refused with the next step."""
    with open_ledger(tmp_path) as empty, pytest.raises(OwnerMappingError, match="no owner mapping") as caught:
        take(empty, MOVES)
    assert "match.directory.team" in caught.value.hint


def test_it_can_be_read_back(ledger: Ledger) -> None:
    """The newest directory is listed as its file states it; before any import the list is empty."""
    assert (directory_of(ledger).version, directory_of(ledger).rows) == (None, [])
    take(ledger, MOVES)
    found = directory_of(ledger)
    assert (found.version, found.source) == (1, "people.csv")
    assert [(row.user, row.team, row.department, row.from_, row.to) for row in found.rows] == [
        ("ana", "vision", "research", None, iso(START_US + HOUR)),
        ("ana", "speech", "", iso(START_US + 2 * HOUR), None),
    ]


def test_both_formats_hold_the_same_people() -> None:
    """CSV and TOML are one directory."""
    toml = '[[person]]\nuser = "ana"\nteam = "vision"\nfrom = 2026-01-01T00:00:00Z\n'
    text = "user,team,from\nana,vision,2026-01-01T00:00:00Z\n"
    found = parse_directory(toml.encode(), "toml", "p.toml").memberships
    assert found == parse_directory(text.encode(), "csv", "p.csv").memberships
    assert isinstance(found[0], Membership)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("user,team\n", "no person in it"),
        ("user,team\nana,\n", "line 2: team is missing"),
        ("user,team\n,vision\n", "line 2: user is missing"),
        ("user,team,boss\nana,vision,zoe\n", 'line 1: unknown key "boss"'),
        ("user,team\nana,vision\nana,speech\n", 'entry 2: user "ana" is in two teams at the same time'),
        ("user,team,from\nana,vision,2026-01-01T00:30:00Z\n", "not on the hour"),
        ("user,team,from,to\nana,vision,2026-01-02,2026-01-01\n", "before or where it starts"),
    ],
)
def test_a_mistake_is_named(text: str, says: str) -> None:
    """Each mistake names the file and its line or entry."""
    with pytest.raises(OwnerMappingError) as caught:
        parse_directory(text.encode(), "csv", "people.csv")
    assert caught.value.message.startswith("people.csv: ")
    assert says in caught.value.message
