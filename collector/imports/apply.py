"""Jobs into the ledger: decide what is missing, book it as batches, and remember it, in one transaction a chunk."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from collector.audit.canonical import Value
from collector.audit.log import record as audit
from collector.imports.batches import Booked, build_batches
from collector.imports.booking import BookedRun, Booking, Outcome, decide_booking
from collector.imports.findings import Problem
from collector.imports.joblog import JobLog
from collector.imports.jobs import JobRecord
from collector.imports.payload import Applied, JobImport
from collector.imports.pools import check_capacity, find_pools
from collector.imports.report import ImportReport, Tally
from collector.imports.shifted import require_same_zone
from collector.ledger.database import Session
from collector.ledger.stages import staged
from collector.ledger.store import Ledger
from gpuledger import wire
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ImportFileError

NO_ACCOUNT = "unattributed"
COMPRESSION = 1  # the frame never travels: it only gives the batch its digest
Job = tuple[str, str]  # cluster, name
Runs = dict[Job, list[BookedRun]]


def import_jobs(ledger: Ledger, log: JobLog, *, progress: Callable[[int], None] | None = None) -> ImportReport:
    """Import a whole log; `progress` hears how many jobs were taken so far. What was imported before is left as it is.

    Raises ImportFileError or ConservationError; chunks before the one that failed stay imported, and count once when
    the import is repeated.
    """
    return import_through(lambda chunk: apply_import(ledger, chunk), log, progress=progress)


def import_through(
    send: Callable[[JobImport], Applied], log: JobLog, *, progress: Callable[[int], None] | None = None
) -> ImportReport:
    """Import a whole log by giving its chunks to `send`: to a ledger, or to a collector over HTTP."""
    tally = Tally()
    jobs = 0
    for chunk in log.chunks():
        applied = send(chunk)
        tally.add(applied)
        jobs += applied.jobs
        if progress:
            progress(jobs)
    return tally.report(log.source, log.import_id, log.findings, log.horizon_us)


def apply_import(ledger: Ledger, chunk: JobImport) -> Applied:
    """Book what the ledger does not hold of these jobs; all of it, or (with an error) none."""
    if not chunk.records:
        return Applied()
    with ledger.alone():
        known = _known_runs(ledger, chunk.records)
        require_same_zone(chunk.records, known)
        plan = _Plan(chunk, known, ledger.now_us())
        _book(ledger, chunk, plan)
    return plan.applied()


class _Plan:
    """Decides record by record; a record sees what the records before it booked."""

    def __init__(self, chunk: JobImport, known: Runs, now_us: int) -> None:
        self.booked: list[Booked] = []
        self.runs: dict[tuple[str, str, str, int], dict[str, Any]] = {}
        self.now_us = now_us
        self._outcomes: Counter[Outcome] = Counter()
        self._problems: list[Problem] = []
        self._known = known
        self._open = 0
        for record in chunk.records:
            self._decide(record, chunk)

    def applied(self) -> Applied:
        """Return the counts, without rows (which the batches know)."""
        teams: Counter[str] = Counter()
        rows = 0
        for record, intervals in self.booked:
            teams[record.account or NO_ACCOUNT] += record.gpus * sum(interval.length_us for interval in intervals)
            rows += sum(-(-interval.end_us // US_PER_HOUR) - interval.start_us // US_PER_HOUR for interval in intervals)
        return Applied(
            new=self._outcomes[Outcome.NEW],
            extended=self._outcomes[Outcome.EXTENDED],
            unchanged=self._outcomes[Outcome.UNCHANGED],
            conflicts=self._outcomes[Outcome.CONFLICT],
            open=self._open,
            rows=rows,
            gpu_us=sum(teams.values()),
            gpu_us_by_team=dict(teams),
            problems=tuple(self._problems),
        )

    def _decide(self, record: JobRecord, chunk: JobImport) -> None:
        self._open += record.end_us is None
        until_us = record.end_us if record.end_us is not None else chunk.horizon_us
        if until_us is None:
            raise ImportFileError(f"job {record.job} has not ended, and nothing says up to when it ran")
        known = self._known.setdefault((record.cluster, record.job), [])
        booking = self._future(record, until_us) or decide_booking(record, until_us, known)
        self._outcomes[booking.outcome] += 1
        if booking.disagreement:
            self._problems.append(Problem(record.line, booking.disagreement))
        if booking.intervals:
            self.booked.append(Booked(record, booking.intervals))
        if booking.run:
            self._remember(record, booking.run, known, chunk.import_id)

    def _future(self, record: JobRecord, until_us: int) -> Booking | None:
        if until_us <= self.now_us:
            return None
        what = f"job {record.job} runs until {iso(until_us)}, which is in the future: is the time zone right?"
        return Booking(Outcome.CONFLICT, disagreement=what)

    def _remember(self, record: JobRecord, run: BookedRun, known: list[BookedRun], import_id: str) -> None:
        known[:] = [other for other in known if (other.part, other.started_us) != (run.part, run.started_us)]
        known.append(run)
        key = (record.cluster, record.job, run.part, run.started_us)
        self.runs[key] = {"cluster": record.cluster, "job": record.job, **run._asdict(), "import_id": import_id}


def _known_runs(ledger: Ledger, records: Sequence[JobRecord]) -> Runs:
    jobs = {(record.cluster, record.job) for record in records}
    wanted = staged("wanted_jobs", [{"cluster": cluster, "job": job} for cluster, job in sorted(jobs)])
    known: Runs = defaultdict(list)
    for row in ledger.execute("import_runs", tables={"wanted_jobs": wanted}).to_pylist():
        run = BookedRun(**{name: row[name] for name in BookedRun._fields})
        known[row["cluster"], row["job"]].append(run)
    return known


def _book(ledger: Ledger, chunk: JobImport, plan: _Plan) -> None:
    if not plan.runs:
        return
    pools = find_pools(ledger, (record for record, _ in plan.booked), chunk.facts)
    check_capacity(ledger, pools, plan.booked, chunk.facts)
    batches = build_batches(plan.booked, pools, chunk.import_id, plan.now_us)
    intakes = [ledger.read(wire.encode(batch, level=COMPRESSION)) for batch in batches]
    for intake in intakes:
        if intake.error:
            raise ImportFileError(f"the jobs do not make a valid batch: {intake.error.message}", hint=intake.error.hint)
    runs = staged("incoming_runs", list(plan.runs.values()))

    def keep_runs(session: Session) -> None:
        session.execute("import_keep_runs", tables={"incoming_runs": runs})
        booked: dict[str, Value] = {"runs": len(plan.runs), "import": chunk.import_id}
        audit(session, ledger.now_us(), "jobs.import", chunk.import_id, booked)

    ledger.store(intakes, also=keep_runs)
