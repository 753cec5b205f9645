"""`reconcile --against-sacct`: Slurm's own accounting held against the GPU time that the ledger saw its jobs hold.

A job is found by its number, of array tasks and components also by the number that Slurm gives each (`JobIDRaw`). With
one cluster on both sides names of clusters do not matter; with several a job is looked for in the cluster of its name.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from collector.imports.joblog import JobLog, open_job_log
from collector.imports.jobs import JobRecord
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.job_differences import ACCOUNT, CAUSES, Granted, Hold, explain_job
from gpuledger.accounting.periods import Period, require_hours
from gpuledger.cli.sources import Document, Source, wanted_period
from gpuledger.errors import ConfigError, OutsideError

_SHOWN_PROBLEMS: Final = 100
JobKey = tuple[str, str]  # cluster (empty where there is only one), job


class _Job(NamedTuple):
    """One job on both sides."""

    account: str  # in sacct
    ledger_account: str
    granted: list[Granted]
    holds: list[Hold]


def reconcile_sacct(source: Source, args: argparse.Namespace) -> Document:
    """Return the comparison; `ok` says whether no job's difference exceeds the tolerance.

    Raises ImportFileError or OutsideError on a file that cannot be used, ConfigError where it is unclear which cluster
    of the ledger it is of.
    """
    period = require_hours(wanted_period(source, args.period))
    path = args.against_sacct
    fields = tuple(name.strip() for name in args.fields.split(",") if name.strip())
    kind = "sacct-json" if path.suffix == ".json" else "sacct"
    log = open_job_log(path, kind, map_path=args.map, zone=args.tz, cluster=args.cluster, fields=fields)
    records = list(_records(log, period))
    held = source.table("job_time", {"period": period.label, "aspect": "held"}).to_pylist()
    if args.cluster:
        held = [row for row in held if row["cluster"] == args.cluster]
    if not records and not held:
        raise OutsideError(
            f"neither {path.name} nor the ledger has jobs with GPUs in {period.label}",
            hint="was sacct asked for this time (-S, -E), for all users (-a) and for AllocTRES?",
        )
    jobs = _jobs(records, held)
    watched = _watched(source, period)
    rows = [_row(key, job, watched) for key, job in sorted(jobs.items())]
    return _document(rows, log, args)


def _records(log: JobLog, period: Period) -> Iterator[tuple[JobRecord, Granted]]:
    """Yield the runs of jobs, cut at the period's ends; one that had not ended runs as far as the log tells."""
    for chunk in log.chunks():
        for record in chunk.records:
            end_us = record.end_us if record.end_us is not None else chunk.horizon_us
            start_us, until_us = max(record.start_us, period.start_us), min(end_us or 0, period.end_us)
            if until_us > start_us:
                yield record, Granted(start_us, until_us, record.gpus)


def _jobs(records: list[tuple[JobRecord, Granted]], held: list[dict[str, Any]]) -> dict[JobKey, _Job]:
    """Return every job that either side has, with what each says of it."""
    theirs, ours = {record.cluster for record, _ in records}, {row["cluster"] for row in held}
    several = len(theirs) > 1 or len(ours) > 1
    if several and theirs and ours and not theirs & ours:
        raise ConfigError(
            f"sacct names the cluster {', '.join(sorted(theirs))}, the ledger {', '.join(sorted(ours))}",
            hint="say which cluster of the ledger it is: --cluster NAME",
        )
    jobs: dict[JobKey, _Job] = {}
    names: dict[JobKey, JobKey] = {}
    for row in held:
        key = (row["cluster"] if several else "", row["job"])
        job = jobs.setdefault(key, _Job("", row["slurm_account"], [], []))
        place = f"{row['cluster']}/{row['node']}/{row['device']}"
        job.holds.append(Hold(place, row["start_us"], row["end_us"], row["held_us"], row["pool"]))
        for name in filter(None, (row["job"], row["array_name"])):
            names.setdefault((key[0], name), key)
    for record, granted in records:
        cluster = record.cluster if several else ""
        found = names.get((cluster, record.job)) or names.get((cluster, record.raw)) or (cluster, record.job)
        job = jobs.get(found) or _Job(record.account, record.account, [], [])
        jobs[found] = job._replace(account=record.account or job.account)
        jobs[found].granted.append(granted)
    return jobs


def _watched(source: Source, period: Period) -> dict[str, list[Interval]]:
    found: dict[str, list[Interval]] = defaultdict(list)
    for row in source.table("job_time", {"period": period.label, "aspect": "watched"}).to_pylist():
        found[f"{row['cluster']}/{row['node']}/{row['device']}"].append(Interval(row["start_us"], row["end_us"]))
    return found


def _row(key: JobKey, job: _Job, watched: Mapping[str, list[Interval]]) -> Document:
    theirs, ours = sum(run.gpu_us for run in job.granted), sum(hold.held_us for hold in job.holds)
    return {
        "cluster": key[0],
        "job": key[1],
        "account": job.account if job.granted else job.ledger_account,
        "ledger_account": job.ledger_account,
        "sacct_us": theirs,
        "ledger_us": ours,
        "causes_us": explain_job(job.granted, job.holds, watched),
    }


def _accounts(rows: Iterable[Document]) -> list[Document]:
    """Return the sums by account; what is booked on another account than sacct's moves between the two."""
    sums: dict[str, dict[str, Any]] = {}
    for row in rows:
        theirs = sums.setdefault(row["account"], _no_sums())
        ours = sums.setdefault(row["ledger_account"], _no_sums())
        theirs["sacct_us"] += row["sacct_us"]
        ours["ledger_us"] += row["ledger_us"]
        for name, amount in row["causes_us"].items():
            theirs["causes_us"][name] += amount
        if ours is not theirs:
            theirs["causes_us"][ACCOUNT] += row["ledger_us"]
            ours["causes_us"][ACCOUNT] -= row["ledger_us"]
    return [{"account": name, **_shown(found)} for name, found in sorted(sums.items())]


def _no_sums() -> dict[str, Any]:
    return {"sacct_us": 0, "ledger_us": 0, "causes_us": dict.fromkeys(CAUSES, 0)}


def _document(rows: list[Document], log: JobLog, args: argparse.Namespace) -> Document:
    causes = dict.fromkeys(CAUSES, 0)
    for row in rows:
        for name, amount in row["causes_us"].items():
            causes[name] += amount
    theirs, ours = (sum(row[name] for row in rows) for name in ("sacct_us", "ledger_us"))
    tolerance_us = args.tolerance * 10**6
    over = [row for row in rows if abs(row["sacct_us"] - row["ledger_us"]) > tolerance_us]
    moved = [row for row in rows if row["account"] != row["ledger_account"]]
    return {
        "ok": not over and abs(theirs - ours) <= tolerance_us and (not moved or bool(args.tolerance)),
        "against": "sacct",
        "period": args.period,
        "file": args.against_sacct.name,
        "sacct_gpu_seconds": _seconds(theirs),
        "ledger_gpu_seconds": _seconds(ours),
        "difference": _seconds(theirs - ours),
        "tolerance": f"{args.tolerance:f}",
        "over_tolerance": len(over),
        "other_account": len(moved),
        "causes": {name: _seconds(amount) for name, amount in causes.items() if amount},
        "accounts": _accounts(rows),
        "skipped": dict(log.findings.skipped),
        "problem_count": log.findings.problem_count,
        "problems": [problem._asdict() for problem in log.findings.problems[:_SHOWN_PROBLEMS]],
        "rows": [
            {**{name: row[name] for name in ("cluster", "job", "account", "ledger_account")}, **_shown(row)}
            for row in rows
        ],
    }


def _shown(row: Document) -> Document:
    return {
        "sacct": _seconds(row["sacct_us"]),
        "ledger": _seconds(row["ledger_us"]),
        "difference": _seconds(row["sacct_us"] - row["ledger_us"]),
        "causes": {name: _seconds(amount) for name, amount in row["causes_us"].items() if amount},
    }


def _seconds(amount_us: int) -> str:
    """Return GPU-seconds in text, to the microsecond."""
    text = f"{Decimal(amount_us).scaleb(-6):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
