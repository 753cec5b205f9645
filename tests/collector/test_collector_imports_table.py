"""Job tables in CSV and Parquet, and the maps that explain them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collector.imports.findings import Findings
from collector.imports.jobs import JobRecord
from collector.imports.table import parse_table
from collector.imports.table_map import parse_map, read_map
from gpuledger.errors import ConfigError, ImportFileError

T0_US = 1_767_225_600 * 10**6
HOUR_US = 3_600_000_000
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
MAP = """
cluster = "lab"
[columns]
job = "id"
start = "begin"
duration = "took"
gpus = "n"
account = "team"
"""


def parse(path: Path, text: str) -> tuple[list[JobRecord], Findings]:
    """Read a table with a map."""
    findings = Findings()
    return list(parse_table(path, parse_map(text, "map.toml"), findings)), findings


def csv_file(folder: Path, text: str) -> Path:
    """Write a CSV file."""
    path = folder / "jobs.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def test_csv_rows_become_records(tmp_path: Path) -> None:
    """Columns are found by their names in the map; quoted fields may hold separators and line breaks."""
    path = csv_file(
        tmp_path, 'id,begin,took,n,team,x\n1,2026-01-01T00:00:00,90.5,2,"a,\nb",y\n2,2026-01-01T00:00:00,60,0,c,y\n'
    )
    records, findings = parse(path, MAP)
    assert records == [
        JobRecord(job="1", cluster="lab", start_us=T0_US, end_us=T0_US + 90_500_000, gpus=2, account="a,\nb", line=2)
    ]
    assert findings.skipped == {"held no GPU": 1}


def test_broken_csv_rows_are_reported_with_their_line(tmp_path: Path) -> None:
    """Missing cells, senseless numbers and times, bad bytes: each has its line; the others are imported."""
    path = csv_file(
        tmp_path,
        "id,begin,took,n,team\n1,2026-01-01T00:00:00,60,1,a\n2,2026-01-01\n3,soon,60,1,a\n4,2026-01-01T00:00:00,long,1,a\n"
        "5,2026-01-01T00:00:00,60,1.5,a\n6,2026-01-01T00:00:00,-1,1,a\n,2026-01-01T00:00:00,60,1,a\n"
        "8,2026-01-01T00:00:00,60,1,\udce9\n9,2026-01-01T00:00:00,nan,1,a\n10,2026-01-01T00:00:00,60,1,a\n",
    )
    records, findings = parse(path, MAP)
    assert [record.job for record in records] == ["1", "8", "10"]
    assert sorted(problem.line for problem in findings.problems) == [3, 4, 5, 6, 7, 8, 9, 10]


def test_parquet_is_read_in_its_own_types(tmp_path: Path) -> None:
    """Timestamps, floats and nulls; a missing duration is a job that runs; rows count from one."""
    path = tmp_path / "jobs.parquet"
    begin = pa.array([T0_US * 1000, (T0_US + HOUR_US) * 1000, None], pa.int64()).cast(pa.timestamp("ns"))
    pq.write_table(
        pa.table(
            {"id": [1, 2, 3], "begin": begin, "took": [1.25, None, 1.0], "n": [8, 1, 1], "team": ["a", None, "a"]}
        ),
        path,
    )
    records, findings = parse(path, MAP)
    assert [(r.job, r.start_us - T0_US, r.end_us, r.gpus, r.account, r.line) for r in records] == [
        ("1", 0, T0_US + 1_250_000, 8, "a", 1),
        ("2", HOUR_US, None, 1, "", 2),
    ]
    assert findings.skipped == {"never started": 1}
    assert findings.latest_us == T0_US + HOUR_US


@pytest.mark.parametrize(
    ("units", "start", "took"),
    [
        ('start = "seconds"\nduration = "minutes"', "1767225600", "1.5"),
        ('start = "milliseconds"\nduration = "hours"', "1767225600000", "0.025"),
        ('start = "microseconds"\nduration = "milliseconds"', "1767225600000000", "90000"),
        ('start = "nanoseconds"\nduration = "microseconds"', "1767225600000000000", "90000000"),
    ],
)
def test_units_are_exact(tmp_path: Path, units: str, start: str, took: str) -> None:
    """Every unit comes to the same microseconds, through decimals and not through floats."""
    path = csv_file(tmp_path, f"id,begin,took,n,team\n1,{start},{took},1,a\n")
    records, findings = parse(path, f"{MAP}[units]\n{units}\n")
    assert findings.problems == []
    assert [(record.start_us, record.end_us) for record in records] == [(T0_US, T0_US + 90_000_000)]


def test_numbers_without_a_unit_are_not_guessed(tmp_path: Path) -> None:
    """A number where the map expects a time: nobody knows whether it counts seconds or milliseconds."""
    _, findings = parse(csv_file(tmp_path, "id,begin,took,n,team\n1,1767225600,60,1,a\n"), MAP)
    assert "[units]" in findings.problems[0].reason


def test_local_times_use_the_maps_zone(tmp_path: Path) -> None:
    """A naive time is local to the zone; one with an offset is not."""
    path = csv_file(tmp_path, "id,begin,took,n,team\n1,2026-01-01T01:00:00,60,1,a\n2,2026-01-01T00:00:00Z,60,1,a\n")
    records, _ = parse(path, f'zone = "Europe/Oslo"\n{MAP}')
    assert [record.start_us for record in records] == [T0_US, T0_US]


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        (MAP.replace("account", "acount"), 'unknown "acount"', 'did you mean "account"'),
        ("colums = 1", 'unknown "colums"', 'did you mean "columns"'),
        (MAP + '[units]\nduration = "second"', 'unknown "second"', 'did you mean "seconds"'),
        (MAP + '[units]\nend = "timestamp"', "has end, which [columns] has not", "remove it"),
        (MAP + "[capacity]\ngpus = 0", "not a number of GPUs", "from 1 to"),
        ('zone = "Oslo/Europe"', "not a time zone", "IANA"),
        ("cluster = 5", "not text", "quotes"),
        ("columns = 5", "not a section", "[columns]"),
        ("fields = [1]", "not text", "quotes"),
        ("x =", "not TOML", "quotes"),
    ],
)
def test_maps_are_strict(text: str, words: str, hint: str) -> None:
    """What a map says and is not understood is an error that names the nearest known word."""
    with pytest.raises(ConfigError) as raised:
        parse_map(text, "map.toml")
    assert words in raised.value.message
    assert hint in raised.value.hint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MAP.replace('"took"', '"tok"'), "no column 'tok'"),
        (MAP.replace('job = "id"', ""), "has no job"),
        (MAP.replace('duration = "took"', ""), "either end or duration"),
        (MAP.replace("duration =", 'end = "took"\nduration ='), "either end or duration"),
    ],
)
def test_maps_have_to_fit_the_table(tmp_path: Path, text: str, words: str) -> None:
    """Columns that the table lacks and fields that every job needs are named before anything is imported."""
    with pytest.raises(ConfigError) as raised:
        parse(csv_file(tmp_path, "id,begin,took,n,team\n"), text)
    assert words in raised.value.message


def test_a_column_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    """The hint has the nearest column and all of them."""
    with pytest.raises(ConfigError) as raised:
        parse(csv_file(tmp_path, "id,begin,took,n,team\n"), MAP.replace('"took"', '"tok"'))
    assert raised.value.hint == 'did you mean "took"? its columns are: id, begin, took, n, team'


def test_files_that_are_no_tables_are_errors(tmp_path: Path) -> None:
    """A Parquet file that is none, a file that is not there, a file without a line."""
    broken = tmp_path / "jobs.parquet"
    broken.write_bytes(b"PAR1 and nothing else")
    for path in (broken, tmp_path / "none.csv", csv_file(tmp_path, "")):
        with pytest.raises(ImportFileError):
            parse(path, MAP)


@pytest.mark.parametrize("name", ["philly", "fox-sacct", "slurm-site", "jobs-table"])
def test_example_maps_are_valid(name: str) -> None:
    """What the documentation offers to start from is understood."""
    assert read_map(EXAMPLES / f"{name}.toml").cluster


def test_milliseconds_taken_for_seconds_are_reported_line_by_line(tmp_path: Path) -> None:
    """A unit that is wrong for a row, and a number of GPUs that no pool has, cost that row only."""
    units = '[units]\nstart = "seconds"\n'
    rows = f"1,{T0_US // 1_000},60,1,a\n2,{T0_US // 10**6},60,{10**20},a\n3,{T0_US // 10**6},60,1,a\n"
    records, findings = parse(csv_file(tmp_path, f"id,begin,took,n,team\n{rows}"), MAP + units)
    assert [record.job for record in records] == ["3"]
    assert [problem.line for problem in findings.problems] == [2, 3]
    assert "units" in findings.problems[0].reason


def test_cells_are_told_apart_by_one_character(tmp_path: Path) -> None:
    """A longer delimiter is for sacct text only."""
    with pytest.raises(ConfigError, match="delimiter"):
        parse(csv_file(tmp_path, "id;;begin\n"), f'delimiter = ";;"\n{MAP}')
