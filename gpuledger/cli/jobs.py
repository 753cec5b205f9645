"""`import jobs`: past jobs of a scheduler into the ledger, read here and booked where the ledger is."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gpuledger.cli import tables
from gpuledger.cli.arguments import Commands, Parser, add_command, add_output, add_source
from gpuledger.cli.exits import DONE
from gpuledger.cli.extras import needs
from gpuledger.cli.output import emit, progress_console
from gpuledger.cli.sources import open_source


def register(commands: Commands) -> None:
    """Add the command."""
    group = add_command(commands, "import", "past records into the ledger")
    kinds = group.add_subparsers(metavar="KIND", parser_class=Parser, required=True)
    jobs = add_command(kinds, "jobs", "jobs of a scheduler: what they held; whether they worked stays unobserved")
    jobs.add_argument("file", type=Path, metavar="FILE")
    jobs.add_argument("--source", required=True, choices=("sacct", "sacct-json", "table"), help="what wrote the file")
    jobs.add_argument("--map", type=Path, metavar="FILE", help="columns, units and zone of a table; pools (TOML)")
    jobs.add_argument("--tz", default="", metavar="ZONE", help="zone of the times in it, as in Europe/Oslo (UTC)")
    jobs.add_argument("--cluster", default="", metavar="NAME", help="where rows name no cluster")
    jobs.add_argument("--fields", default="", metavar="A,B,C", help="columns of sacct text without a header")
    add_source(jobs)
    add_output(jobs)
    jobs.set_defaults(run=run_jobs)


def run_jobs(args: argparse.Namespace) -> int:
    """Import a job log; lines that cannot be read are reported and never stop the rest."""
    with needs("collector", "import jobs"):
        from collector.imports.apply import import_through
        from collector.imports.joblog import open_job_log
    fields = tuple(name.strip() for name in args.fields.split(",") if name.strip())
    log = open_job_log(args.file, args.source, map_path=args.map, zone=args.tz, cluster=args.cluster, fields=fields)
    with open_source(args, create=True) as source, _progress() as progress:
        task = progress.add_task(f"Importing {args.file.name}", total=None)
        report = import_through(source.import_jobs, log, progress=lambda jobs: progress.update(task, completed=jobs))
    problems = [problem._asdict() for problem in report.problems]
    emit(args, {**msgspec.to_builtins(report), "problems": problems}, tables.imported_jobs)
    return DONE


def _progress() -> Progress:
    console = progress_console()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed:,} jobs"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
