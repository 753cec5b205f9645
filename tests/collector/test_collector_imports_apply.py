"""Job logs into a real ledger: exact sums, nothing twice, capacity kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.imports.apply import apply_import, import_jobs, import_through
from collector.imports.findings import Findings
from collector.imports.joblog import JobLog, open_job_log
from collector.imports.jobs import JobRecord, PoolFacts
from collector.imports.payload import Applied, JobImport, decode_import, encode_import
from collector.ledger.store import Ledger
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.clock import VirtualClock
from gpuledger.errors import ConfigError, ConservationError, ImportFileError
from tests.collector.ask import ask

T0 = 1_767_225_600 * 10**6
NOW = T0 + 1000 * US_PER_HOUR
HEADER = "JobID|Account|State|Start|End|ElapsedRaw|AllocTRES"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give a ledger whose clock stands after everything that tests import."""
    with Ledger.open(tmp_path / "ledger", clock=VirtualClock(NOW)) as opened:
        yield opened


def job(number: int, start: float, hours: float | None, gpus: int = 1, **changes: object) -> JobRecord:
    """Return a job that starts some hours after T0; no length: it still runs."""
    start_us = T0 + round(start * US_PER_HOUR)
    end_us = None if hours is None else start_us + round(hours * US_PER_HOUR)
    facts: dict[str, object] = {"cluster": "c", "account": "vision", "gpu_model": "a100"} | changes
    return JobRecord(job=str(number), start_us=start_us, end_us=end_us, gpus=gpus, **facts)  # type: ignore[arg-type]


def chunk(*records: JobRecord, until: float | None = None, **facts: dict[str, int]) -> JobImport:
    """Return jobs as they travel."""
    horizon_us = None if until is None else T0 + round(until * US_PER_HOUR)
    return JobImport("log", records, horizon_us, PoolFacts(**facts))  # type: ignore[arg-type]


def held(ledger: Ledger) -> int:
    """Return what all jobs hold; both tables have to agree."""
    (facts,), (hourly,) = (
        ask(ledger, "SELECT sum(held_us) FROM usage"),
        ask(ledger, "SELECT sum(held_us) FROM usage_hourly"),
    )
    assert facts == hourly
    return int(facts[0] or 0)


def log_file(folder: Path, *rows: str) -> Path:
    """Write sacct text."""
    path = folder / "jobs.txt"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def test_jobs_become_hourly_usage_on_a_pool(ledger: Ledger) -> None:
    """Rows are cut at hours, held time counts all GPUs, activity is unknown, and the origin is on the batch."""
    applied = apply_import(ledger, chunk(job(1, 0.5, 1.25, 2), job(2, 0.5, 0.25, account="nlp")))
    assert (applied.new, applied.rows, applied.gpu_us) == (2, 3, round(2.75 * US_PER_HOUR))
    assert applied.gpu_us_by_team == {"vision": round(2.5 * US_PER_HOUR), "nlp": US_PER_HOUR // 4}
    rows = ask(
        ledger,
        "SELECT slurm_account, start_us, end_us, held_us, active_us, state, holder_method, boot LIKE 'log-%'"
        " FROM usage JOIN holders USING (holder_id) JOIN evidence USING (evidence_id) JOIN batches USING (batch_id)"
        " ORDER BY ALL",
    )
    half = US_PER_HOUR // 2
    assert rows == [
        ("nlp", T0 + half, T0 + half + half // 2, half // 2, None, 7, "job_log", True),
        ("vision", T0 + half, T0 + 2 * half, 2 * half, None, 7, "job_log", True),
        ("vision", T0 + 2 * half, T0 + 3 * half + half // 2, 3 * half, None, 7, "job_log", True),
    ]
    devices = ask(ledger, "SELECT device_key, kind, model, units, first_seen_us FROM devices")
    assert devices == [("pool:c/a100", "pool", "a100", None, T0 + half)]
    assert len(ask(ledger, "SELECT * FROM dirty_hours")) == 2


def test_a_file_that_is_read_twice_changes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """The second report says that all was known, and no table grew."""
    path = log_file(
        tmp_path,
        "1|a|COMPLETED|2026-01-01T00:00:00|2026-01-01T01:00:00|3600|gres/gpu=2",
        "2|b|RUNNING|2026-01-01T00:30:00|Unknown|5400|gres/gpu=1",
        "2.batch|b|RUNNING|2026-01-01T00:30:00|Unknown|5400|gres/gpu=1",
        "3|b|PENDING|Unknown|Unknown|0|",
        "broken",
    )
    first = import_jobs(ledger, open_job_log(path, "sacct"))
    assert (first.jobs, first.new, first.open, first.rows, first.gpu_seconds) == (2, 2, 1, 3, 12600)
    assert first.gpu_seconds_by_team == {"a": 7200, "b": 5400}
    assert first.skipped == {"job step": 1, "pending": 1}
    assert [problem.line for problem in first.problems] == [6]
    assert first.booked_until_us == T0 + 2 * US_PER_HOUR
    tables = {
        name: ask(ledger, f"FROM {name} ORDER BY ALL") for name in ("usage", "batches", "imported_jobs", "holders")
    }
    again = import_jobs(ledger, open_job_log(path, "sacct"))
    assert (again.jobs, again.unchanged, again.rows, again.gpu_seconds) == (2, 2, 0, 0)
    assert tables == {name: ask(ledger, f"FROM {name} ORDER BY ALL") for name in tables}


def test_a_later_log_books_only_what_is_missing(ledger: Ledger) -> None:
    """An open job goes on from where it was booked to, and is then over."""
    assert apply_import(ledger, chunk(job(1, 0, None), until=1.5)).open == 1
    later = apply_import(ledger, chunk(job(1, 0, 4)))
    assert (later.extended, later.gpu_us) == (1, round(2.5 * US_PER_HOUR))
    assert held(ledger) == 4 * US_PER_HOUR
    assert ask(ledger, "SELECT ended, booked_until_us FROM imported_jobs") == [(True, T0 + 4 * US_PER_HOUR)]


def test_what_disagrees_with_the_ledger_is_reported_and_left(ledger: Ledger) -> None:
    """A shorter end and another number of GPUs: problems with the line of the log."""
    apply_import(ledger, chunk(job(1, 0, 4), job(2, 0, 4)))
    applied = apply_import(ledger, chunk(job(1, 0, 3, line=7), job(2, 0, 4, gpus=2, line=8)))
    assert (applied.conflicts, applied.rows) == (2, 0)
    assert [problem.line for problem in applied.problems] == [7, 8]
    assert held(ledger) == 8 * US_PER_HOUR


def test_the_same_job_number_in_two_clusters_is_two_jobs(ledger: Ledger) -> None:
    """Numbers are unique within a cluster only."""
    apply_import(ledger, chunk(job(1, 0, 1), job(1, 0, 1, cluster="d")))
    assert held(ledger) == 2 * US_PER_HOUR
    assert len(ask(ledger, "FROM devices")) == 2


def test_a_requeued_job_that_changed_its_account_keeps_both(ledger: Ledger) -> None:
    """Each run is charged to the account that it ran under."""
    apply_import(ledger, chunk(job(1, 0, 1, account="a"), job(1, 2, 1, account="b")))
    rows = ask(
        ledger, "SELECT slurm_account, sum(held_us) FROM usage JOIN holders USING (holder_id) GROUP BY 1 ORDER BY 1"
    )
    assert rows == [("a", US_PER_HOUR), ("b", US_PER_HOUR)]


def test_jobs_in_the_future_are_not_booked(ledger: Ledger) -> None:
    """A log in the wrong zone would book time that has not passed."""
    applied = apply_import(ledger, chunk(job(1, 999, 2), job(2, 0, 1)))
    assert (applied.new, applied.conflicts) == (1, 1)
    assert "future" in applied.problems[0].reason


def test_a_pool_holds_no_more_than_its_capacity(ledger: Ledger) -> None:
    """A log that breaks the capacity is refused with the number that it takes, and nothing of the chunk is stored."""
    apply_import(ledger, chunk(job(1, 0, 2, 6), capacity={"a100": 8}))
    with pytest.raises(ConservationError, match="hold 9 GPUs of pool:c/a100") as raised:
        apply_import(ledger, chunk(job(2, 1, 2, 3), capacity={"a100": 8}))
    assert "9 or more" in raised.value.hint
    assert held(ledger) == 12 * US_PER_HOUR
    assert len(ask(ledger, "FROM imported_jobs")) == 1
    apply_import(ledger, chunk(job(2, 1, 2, 2)))
    assert held(ledger) == 16 * US_PER_HOUR
    assert ask(ledger, "SELECT units FROM devices") == [(8,)]


def test_a_pool_keeps_its_capacity_and_model(ledger: Ledger) -> None:
    """Another capacity or model for the same pool would split it: it is an error that says what the ledger has."""
    apply_import(ledger, chunk(job(1, 0, 1), capacity={"a100": 8}))
    for facts in ({"capacity": {"a100": 9}}, {"models": {"a100": "NVIDIA A100"}}):
        with pytest.raises(ImportFileError, match="is in the ledger with"):
            apply_import(ledger, chunk(job(2, 0, 1), **facts))  # type: ignore[arg-type]


def test_a_capacity_for_a_pool_that_no_job_uses_is_reported(tmp_path: Path, ledger: Ledger) -> None:
    """A pool's name that is misspelt in the map would otherwise be passed over."""
    path = log_file(tmp_path, "1|a|COMPLETED|2026-01-01T00:00:00|2026-01-01T01:00:00|3600|gres/gpu:a100=2")
    (tmp_path / "site.toml").write_text("[capacity]\na10O = 8\n")
    report = import_jobs(ledger, open_job_log(path, "sacct", map_path=tmp_path / "site.toml"))
    assert [problem.reason.split()[0] for problem in report.problems] == ['"a10O"']


def test_a_log_travels_in_chunks_and_gives_the_same_report(tmp_path: Path, ledger: Ledger) -> None:
    """Through bytes and back, as over HTTP, an import is the same as next to the ledger."""
    path = log_file(
        tmp_path,
        *(
            f"{i}|t{i % 3}|COMPLETED|2026-01-01T00:{i % 60:02}:00|2026-01-0{1 + i % 9}T05:00:00|1|gres/gpu={i % 5 + 1}"
            for i in range(1, 900)
        ),
        "901|a|RUNNING|2026-01-01T00:30:00|Unknown|5400|gres/gpu=1",
    )
    sizes: list[int] = []

    def over_http(part: JobImport) -> Applied:
        body = encode_import(part)
        sizes.append(len(body))
        answer = msgspec.json.encode(apply_import(ledger, decode_import(body)))
        return msgspec.json.decode(answer, type=Applied)

    seen: list[int] = []
    remote = import_through(over_http, open_job_log(path, "sacct"), progress=seen.append)
    with Ledger.open(tmp_path / "other", clock=VirtualClock(NOW)) as other:
        local = import_jobs(other, open_job_log(path, "sacct"))
        assert held(other) == held(ledger)
    assert remote == local
    assert remote.gpu_seconds * 10**6 == held(ledger)
    assert len(sizes) == len(seen) >= 3
    assert seen[-1] == 900


def test_a_failed_chunk_leaves_those_before_it_and_a_repeat_completes_them(ledger: Ledger) -> None:
    """Chunks are transactions: after an interruption the same log can be imported again."""

    def read(_: Findings) -> Iterator[JobRecord]:
        yield from (job(number, number % 7, 400, 1) for number in range(300))

    taken = 0

    def interrupted(part: JobImport) -> Applied:
        nonlocal taken
        taken += 1
        if taken == 2:
            raise KeyboardInterrupt
        return apply_import(ledger, part)

    with pytest.raises(KeyboardInterrupt):
        import_through(interrupted, JobLog("table", "log", read))
    assert 0 < held(ledger) < 300 * 400 * US_PER_HOUR
    report = import_jobs(ledger, JobLog("table", "log", read))
    assert held(ledger) == 300 * 400 * US_PER_HOUR
    assert report.unchanged + report.new == 300


@pytest.mark.parametrize(
    "body",
    [
        b"no",
        msgspec.msgpack.encode({"import_id": "x", "records": [], "schema": 2}),
        encode_import(chunk(job(1, 0, None))),
        encode_import(chunk(job(1, 0, 1, gpus=0))),
        encode_import(chunk(job(1, 0, 1, cluster=""))),
        encode_import(chunk(job(1, 0, -1))),
        encode_import(chunk(job(1, -24 * 366 * 60, 1))),  # in the sixties
        encode_import(chunk(job(1, 0, 24 * 366 * 9000))),  # beyond the calendar
        encode_import(chunk(job(1, 0, None), until=24 * 366 * 9000)),
        encode_import(chunk(job(1, 0, 1, gpus=2**62))),
        encode_import(chunk(job(1, 0, 1), capacity={"a100": 0})),
        encode_import(chunk(job(1, 0, 1), capacity={"a100": 2**62})),
        b"\x82\xa9import_id\xa2\xff\xfe\xa7records\x90",  # a name that is not UTF-8
        b"\x82\xa9import_id\xa1x\xa7unknown" + b"\x91" * 200_000 + b"\xc0",  # nested without end
    ],
)
def test_a_payload_that_cannot_be_applied_is_refused(body: bytes) -> None:
    """Other schemas, jobs without an end, GPUs or a cluster, and numbers that no job can have; with the next step."""
    with pytest.raises(ImportFileError) as raised:
        decode_import(body)
    assert raised.value.hint


def test_options_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    """Each says what to give instead."""
    path = log_file(tmp_path)
    (tmp_path / "map.toml").write_text('[columns]\njob = "x"\n')
    for source, options in (
        ("slurm", {}),
        ("table", {}),
        ("sacct", {"map_path": tmp_path / "map.toml"}),
        ("sacct-json", {"fields": ("JobID",)}),
        ("sacct", {"zone": "Mars"}),
    ):
        with pytest.raises(ConfigError) as raised:
            open_job_log(path, source, **options)  # type: ignore[arg-type]
        assert raised.value.hint
    with pytest.raises(ImportFileError, match="cannot read"):
        open_job_log(tmp_path / "none", "sacct")


def test_open_jobs_are_booked_up_to_the_given_instant(ledger: Ledger, tmp_path: Path) -> None:
    """--as-of is the horizon; jobs that started after it are counted apart."""
    path = log_file(
        tmp_path,
        "1|a|RUNNING|2026-01-01T00:00:00|Unknown|9|gres/gpu=1",
        "2|a|RUNNING|2026-01-02T00:00:00|Unknown|9|gres/gpu=1",
    )
    report = import_jobs(ledger, open_job_log(path, "sacct", as_of_us=T0 + 5 * US_PER_HOUR))
    assert (report.gpu_seconds, report.open, report.skipped) == (5 * 3600, 1, {"started after the given instant": 1})


jobs = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 30), st.integers(1, 3)), min_size=1, max_size=6)


@settings(max_examples=15, deadline=None)
@given(jobs=jobs, exports=st.lists(st.tuples(st.integers(0, 10), st.integers(1, 60)), min_size=1, max_size=4))
def test_overlapping_exports_in_any_order_count_every_hour_once(
    jobs: list[tuple[int, int, int]], exports: list[tuple[int, int]]
) -> None:
    """Exports are windows over the same history: what is booked is what any of them knows, once."""
    known: dict[int, int] = {}
    with TemporaryDirectory() as folder, Ledger.open(Path(folder), clock=VirtualClock(NOW)) as ledger:
        for begins, length in exports:
            taken_at = begins + length
            seen = [
                job(number, start, hours if start + hours <= taken_at else None, gpus)
                for number, (start, hours, gpus) in enumerate(jobs)
                if start < taken_at and start + hours > begins
            ]
            apply_import(ledger, chunk(*seen, until=taken_at))
            for record in seen:
                start, hours, _ = jobs[int(record.job)]
                known[int(record.job)] = max(known.get(int(record.job), 0), min(hours, taken_at - start))
        assert held(ledger) == sum(jobs[number][2] * hours * US_PER_HOUR for number, hours in known.items())


def shifted(record: JobRecord, hours: float, **changes: object) -> JobRecord:
    """Return a job as it is read in a zone that many hours to the west."""
    by_us = round(hours * US_PER_HOUR)
    assert record.end_us is not None
    moved = msgspec.structs.replace(record, start_us=record.start_us + by_us, end_us=record.end_us + by_us)
    return msgspec.structs.replace(moved, **changes)


@pytest.mark.parametrize("hours", [1, -2, 5.75, 14])
def test_a_log_that_is_read_again_in_another_zone_is_refused(ledger: Ledger, hours: float) -> None:
    """Its runs would count twice: nothing of it is booked, and the error says which zone to give."""
    log = [job(number, 40 + number / 7, 3.3) for number in range(3)]
    apply_import(ledger, chunk(*log))
    before = held(ledger)
    with pytest.raises(ImportFileError, match="3 jobs of this log are booked already at other hours") as caught:
        apply_import(ledger, chunk(*(shifted(each, hours) for each in log), job(9, 60, 1)))
    assert "--tz" in caught.value.hint
    assert held(ledger) == before


def test_jobs_that_ran_again_are_booked(ledger: Ledger) -> None:
    """One that by chance ran as long again, others with another length, or beside one that is as it was: no other zone."""
    first, second = job(1, 40, 3), job(2, 41, 2)
    apply_import(ledger, chunk(first, second))
    assert apply_import(ledger, chunk(shifted(first, 4))).new == 1
    assert apply_import(ledger, chunk(second, shifted(first, 8), shifted(second, 8))).new == 2
    other = msgspec.structs.replace(shifted(second, 16), end_us=second.end_us + 17 * US_PER_HOUR)
    assert apply_import(ledger, chunk(other, shifted(first, 12))).new == 2
