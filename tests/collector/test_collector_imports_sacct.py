"""`sacct -P` text: layouts, rows put together, jobs, and what is left out."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from collector.imports.findings import Findings, Problem
from collector.imports.jobs import JobRecord
from collector.imports.sacct import parse_elapsed, parse_sacct
from collector.imports.slurm import SlurmOptions, base_state
from collector.imports.times import load_zone
from gpuledger.errors import ImportFileError

HEADER = "JobID|Account|User|Partition|JobName|State|Start|End|ElapsedRaw|AllocTRES"
T0 = 1_767_225_600  # 2026-01-01T00:00:00Z


def row(job: str = "1", **changes: str) -> str:
    """Return one line of the layout above: an hour of two GPUs unless changed."""
    values = {
        "job": job, "account": "vision", "user": "ada", "partition": "gpu", "name": "train", "state": "COMPLETED",
        "start": "2026-01-01T00:00:00", "end": "2026-01-01T01:00:00", "elapsed": "3600",
        "tres": "billing=8,cpu=8,gres/gpu=2,mem=64G,node=1",
    }  # fmt: skip
    return "|".join((values | changes).values())


def parse(
    *lines: str | bytes, header: str = HEADER, zone: str = "UTC", fields: tuple[str, ...] = ()
) -> tuple[list[JobRecord], Findings]:
    """Read lines below a header."""
    findings = Findings()
    text = [line if isinstance(line, bytes) else line.encode() for line in ((header, *lines) if header else lines)]
    options = SlurmOptions(zone=load_zone(zone), cluster="c1", fields=fields)
    return list(parse_sacct((line + b"\n" for line in text), options, findings)), findings


def test_a_finished_job_becomes_one_record() -> None:
    """Every fact of the line is on the record; the cluster is the given one where the log names none."""
    records, findings = parse(row())
    assert records == [
        JobRecord(
            job="1", cluster="c1", start_us=T0 * 10**6, end_us=(T0 + 3600) * 10**6, gpus=2, account="vision", user="ada",
            partition="gpu", name="train", state="COMPLETED", line=2,
        )
    ]  # fmt: skip
    assert (findings.problems, findings.skipped) == ([], Counter())


def test_columns_may_come_in_any_order_and_number() -> None:
    """Columns are found by name; unknown ones are passed over; the log's own cluster counts."""
    records, _ = parse(
        "2026-01-01T01:00:00|x|gres/gpu=1|RUNNING|2026-01-01T00:00:00|hpc|77",
        header="End|Whatever|AllocTRES|State|Start|Cluster|JobIDRaw",
    )
    assert [(record.job, record.cluster, record.gpus) for record in records] == [("77", "hpc", 1)]


@pytest.mark.parametrize("delimiter", ["|#", "☃", "\t", ";"])
def test_the_separator_is_read_from_the_header(delimiter: str) -> None:
    """Any separator between the names of the columns is the separator of the rows."""
    records, findings = parse(row().replace("|", delimiter), header=HEADER.replace("|", delimiter))
    assert len(records) == 1
    assert not findings.problems


def test_a_trailing_separator_is_no_column() -> None:
    """`sacct -p` ends every line with the separator."""
    records, findings = parse(row() + "|", header=HEADER + "|")
    assert [record.gpus for record in records] == [2]
    assert not findings.problems


def test_text_without_a_header_is_read_with_a_list_of_fields() -> None:
    """The stated columns apply from the first line on; a header that is there anyway is passed over."""
    fields = tuple(HEADER.split("|"))
    with_header, _ = parse(row())
    without, _ = parse(row(), header="", fields=fields)
    assert without == [msgspec.structs.replace(with_header[0], line=1)]
    again, findings = parse(row(), fields=fields)
    assert len(again) == 1
    assert not findings.problems


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("JobID|State|Start|End", "has no alloctres"),
        ("State|Start|End|AllocTRES", "does not start with the names"),
        (row(), "does not start with the names"),
    ],
)
def test_columns_that_are_missing_or_unknown_are_an_error_with_the_command_to_run(header: str, words: str) -> None:
    """Without the columns that count nothing can be imported, and the hint says how to export them."""
    with pytest.raises(ImportFileError, match=words) as raised:
        parse(row(), header=header)
    assert "sacct -a -D -P" in raised.value.hint


def test_an_empty_file_is_an_error() -> None:
    """A file without a line says nothing about jobs, not even that there were none."""
    with pytest.raises(ImportFileError, match="empty"):
        parse(header="")


def test_steps_are_part_of_their_job() -> None:
    """Steps repeat their job's GPUs and are counted, not booked; without their job they are counted apart."""
    records, findings = parse(row("5"), row("5.batch"), row("5.extern"), row("5.0"), row("6.extern"))
    assert [record.job for record in records] == ["5"]
    assert findings.skipped == {"job step": 3, "job step whose job is not in the file": 1}


def test_arrays_het_jobs_and_requeued_runs_are_jobs_of_their_own() -> None:
    """Tasks and components have ids of their own; two runs of one job are two records."""
    records, findings = parse(
        row("7_1"),
        row("7_2"),
        row("7_[3-9%2]", state="PENDING", start="Unknown", end="Unknown", tres=""),
        row("8+0"),
        row("8+1"),
        row("9", state="REQUEUED"),
        row("9", start="2026-01-01T02:00:00", end="2026-01-01T03:00:00"),
    )
    assert [record.job for record in records] == ["7_1", "7_2", "8+0", "8+1", "9", "9"]
    assert findings.skipped == {"pending": 1}


@pytest.mark.parametrize(
    ("tres", "expected"),
    [
        ("cpu=1,gres/gpu=4", [("", 4, "")]),
        ("gres/gpu:a100=4,gres/gpu=4", [("a100", 4, "")]),
        ("gres/gpu:a100=4", [("a100", 4, "")]),
        ("gres/gpu=4,gres/gpu:a100=2,gres/gpu:v100=2", [("a100", 2, "a100"), ("v100", 2, "v100")]),
        ("gres/gpu=3,gres/gpu:a100=2", [("a100", 2, "a100"), ("", 1, "untyped")]),
        ("gres/gpumem=5,gres/gpuutil=7,cpu=1", []),
        ("", []),
    ],
)
def test_typed_and_untyped_gpus_are_not_added(tres: str, expected: list[tuple[str, int, str]]) -> None:
    """The untyped count is the total; a job with several models is one record for each."""
    records, findings = parse(row(tres=tres))
    assert [(record.gpu_model, record.gpus, record.part) for record in records] == expected
    assert findings.skipped == ({} if expected else {"held no GPU": 1})


def test_counts_that_contradict_each_other_are_reported() -> None:
    """More typed GPUs than there are in all: the typed ones count, and the line is named."""
    records, findings = parse(row(tres="gres/gpu=1,gres/gpu:a100=2"))
    assert [record.gpus for record in records] == [2]
    assert findings.problems[0].line == 2


def test_jobs_that_never_held_anything_are_counted_by_reason() -> None:
    """Pending, cancelled before the start, never started, ended as they started, shards: no record, one count each."""
    records, findings = parse(
        row("1", state="PENDING", start="Unknown", end="Unknown"),
        row("2", state="CANCELLED by 1000", start="None", end="2026-01-01T01:00:00"),
        row("3", state="FAILED", start="Unknown"),
        row("4", end="2026-01-01T00:00:00"),
        row("5", tres="cpu=1,gres/shard=2"),
    )
    assert records == []
    assert findings.skipped == {
        "pending": 1, "cancelled before it started": 1, "never started": 1, "ended as it started": 1,
        "held GPU shards only": 1,
    }  # fmt: skip


def test_a_running_job_has_no_end_and_moves_the_horizon() -> None:
    """`End=Unknown` stays open; its elapsed time says when the log was written."""
    records, findings = parse(row(state="RUNNING", end="Unknown", elapsed="7200"))
    assert records[0].end_us is None
    assert findings.latest_us == (T0 + 7200) * 10**6


def test_a_job_that_is_over_without_an_end_is_reported() -> None:
    """A runaway record is booked like a running job, and somebody is told."""
    records, findings = parse(row(state="NODE_FAIL", end="Unknown"))
    assert records[0].end_us is None
    assert "NODE_FAIL" in findings.problems[0].reason


def test_the_horizon_counts_jobs_without_gpus_and_steps() -> None:
    """The latest instant of any line is evidence of when the log was written."""
    _, findings = parse(row(), row("2", tres="cpu=1", end="2026-01-02T00:00:00"), row("2.0", end="2026-01-03T00:00:00"))
    assert findings.latest_us == (T0 + 2 * 86400) * 10**6


@pytest.mark.parametrize("name", ["a|b", "|", "a|b|c||", "x\ny", "x\n\ny|z", "a|\n|b"])
def test_names_may_hold_the_separator_and_line_breaks(name: str) -> None:
    """A name is taken whole where the rest of the line fits in one way only; the lines around it are not touched."""
    records, findings = parse(row("1"), *row("2", name=name).split("\n"), row("3"))
    assert [(record.job, record.name) for record in records] == [("1", "train"), ("2", name), ("3", "train")]
    assert findings.problems == []


def test_broken_lines_are_reported_and_never_stop_the_rest() -> None:
    """Cut, overlong and senseless lines are named with number and reason; good lines before and after are imported."""
    records, findings = parse(
        row("1"),
        row("2")[:40],
        row("3"),
        row("4", start="yesterday"),
        row("5", end="2025-12-31T00:00:00"),
        row("6", start="2026-13-01T00:00:00"),
        "|".join(["x"] * 30),
        row("7"),
        row("8")[:30],
    )
    assert [record.job for record in records] == ["1", "3", "7"]
    assert [problem.line for problem in findings.problems] == [3, 5, 6, 7, 8, 10]
    reasons = " / ".join(problem.reason for problem in findings.problems)
    for words in (
        "of 10 columns",
        "start cannot be 'yesterday'",
        "ends before it starts",
        "month",
        "30 columns instead of 10",
    ):
        assert words in reasons


def test_a_row_in_several_lines_is_found_after_a_broken_one() -> None:
    """What is missing from one row is never filled from the next."""
    records, findings = parse(row("1")[:25], *row("2", name="two\nlines").split("\n"))
    assert [(record.job, record.name) for record in records] == [("2", "two\nlines")]
    assert [problem.line for problem in findings.problems] == [2]


def test_a_line_that_fits_in_several_ways_is_not_guessed() -> None:
    """Two free-text columns around columns that count: the line is reported."""
    header = "JobName|User|Comment|JobID|State|Start|End|AllocTRES"
    records, findings = parse("a|b|c|d|1|COMPLETED|2026-01-01T00:00:00|2026-01-01T01:00:00|gres/gpu=1", header=header)
    assert records == []
    assert "more than one way" in findings.problems[0].reason


def test_bytes_that_are_not_utf8_are_reported_and_imported() -> None:
    """The line counts; its bytes are shown as replacement characters and its number is reported."""
    records, findings = parse(row("1"), row("2", name="caf\xe9").encode("latin-1"), row("3"))
    assert [record.name for record in records] == ["train", "caf\N{REPLACEMENT CHARACTER}", "train"]
    assert [problem.line for problem in findings.problems] == [3]


def test_windows_lines_marks_and_repeated_headers_are_understood() -> None:
    """A byte order mark, carriage returns, blank lines and files put one after the other are no problem."""
    findings = Findings()
    text = f"\ufeff{HEADER}\r\n{row('1')}\r\n\r\n{HEADER}\r\n{row('2')}\r\n".encode()
    options = SlurmOptions(zone=load_zone("UTC"), cluster="c1")
    records = list(parse_sacct(text.splitlines(keepends=True), options, findings))
    assert [record.job for record in records] == ["1", "2"]
    assert findings.problems == []


def test_local_times_are_converted_and_ambiguous_ones_fit_the_elapsed_time() -> None:
    """02:30 happened twice in Oslo on 2026-10-25: the elapsed time says which one was meant."""
    both = {"start": "2026-10-25T02:30:00", "end": "2026-10-25T02:45:00"}
    records, findings = parse(
        row("1", **both, elapsed="900"),
        row("2", **both, elapsed="4500"),
        row("3", start="2026-07-01T02:00:00", end="2026-07-01T03:00:00"),
        zone="Europe/Oslo",
    )
    assert [(record.end_us or 0) - record.start_us for record in records] == [900 * 10**6, 4500 * 10**6, 3600 * 10**6]
    assert records[0].start_us == records[1].start_us == 1_792_888_200 * 10**6  # 00:30 UTC
    assert not findings.problems


def test_a_time_that_never_was_is_reported() -> None:
    """02:30 did not happen in Oslo on 2026-03-29: the offset before the change is used, and the zone questioned."""
    records, findings = parse(row(start="2026-03-29T02:30:00", end="2026-03-29T04:00:00"), zone="Europe/Oslo")
    assert (records[0].end_us or 0) - records[0].start_us == 30 * 60 * 10**6
    assert findings.problems == [Problem(2, "job 1 has a time that the clock never showed: is the time zone right?")]


@pytest.mark.parametrize(
    ("text", "seconds"), [("01:02:03", 3723), ("2-00:00:01", 172801), ("05:06", 306), ("00:00:01.500", 1), ("", None)]
)
def test_elapsed_text_is_read(text: str, seconds: int | None) -> None:
    """`[DD-][HH:]MM:SS` as sacct writes it; nothing where there is nothing."""
    assert parse_elapsed(text) == (None if seconds is None else seconds * 10**6)


def test_states_are_reduced_to_their_word() -> None:
    """Who cancelled a job and that a column was cut are not part of its state."""
    assert [base_state(text) for text in ("CANCELLED by 12", "COMPLETED+", "running", "")] == [
        "CANCELLED", "COMPLETED", "RUNNING", "",
    ]  # fmt: skip


def test_nonsense_in_one_line_costs_no_other() -> None:
    """Times off the calendar and more GPUs than there are: reported with their line, and no evidence of when it was."""
    records, findings = parse(
        row("1", start="0001-01-01T00:00:00"),
        row("2", end="9999-12-31T23:59:59"),
        row("3", start="99999999999", end="99999999999"),
        row("4", tres="gres/gpu=99999999999999999999"),
        row("5", state="RUNNING", end="Unknown", elapsed="9" * 20),
        row("6"),
        zone="Europe/Oslo",
    )
    assert [record.job for record in records] == ["5", "6"]
    assert [problem.line for problem in findings.problems] == [2, 3, 4, 5]
    assert findings.latest_us == records[1].end_us
