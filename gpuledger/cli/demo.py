"""`demo`: a fleet with a past through the real agents, wire and collector, then live, with its pages."""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.periods import to_us
from gpuledger.cli import demo_budgets, demo_plan, demo_quotas, demo_requests, tables
from gpuledger.cli.arguments import Commands, add_command
from gpuledger.cli.demo_plan import DemoPlan
from gpuledger.cli.exits import DONE
from gpuledger.cli.extras import needs, require
from gpuledger.cli.fleet import Fleet
from gpuledger.cli.output import console, progress_console
from gpuledger.cli.sources import Source, open_local
from gpuledger.errors import ConfigError
from gpuledger.zones import find_zone

if TYPE_CHECKING:
    from agent.devices.simulated.plants import Plant


def register(commands: Commands) -> None:
    """Add the command."""
    demo = add_command(commands, "demo", "a simulated fleet with a month of history, then live, with its pages")
    demo.add_argument("--once", action="store_true", help="build the history, print chargeback, leave the ledger, end")
    demo.add_argument("--data-dir", type=Path, default=Path("demo-data"), metavar="DIR", help="where all of it is kept")
    demo.add_argument("--days", type=int, default=30, metavar="N", help="length of the history (30)")
    demo.add_argument("--seed", type=int, metavar="S", help="another fate of the same fleet")
    demo.add_argument("--nodes", type=int, metavar="N", help="only the first N nodes of the fleet")
    demo.add_argument("--simulated", action="store_true", help="simulate even where this machine has GPUs")
    demo.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build the history and print what it cost; with --once leave a closed ledger, else go on until Ctrl-C."""
    for extra in ("agent", "collector") if args.once else ("agent", "collector", "dashboards"):
        require(extra, "the demo")
    say = progress_console()
    if not args.once and not args.simulated and _real_gpus():
        return _stopping_on_sigterm(lambda: _run_real(args.data_dir, say))
    wanted = demo_plan.make_plan(datetime.now(tz=UTC), args.days, args.seed, args.nodes)
    _nodes(wanted)
    plan = demo_plan.settle(args.data_dir, wanted)
    demo_plan.remember(args.data_dir, plan)
    build = _run_once if args.once else _run_live
    return _stopping_on_sigterm(lambda: build(args.data_dir, plan, say))


def _stopping_on_sigterm(work: Callable[[], int]) -> int:
    """Let `kill` stop everything that was started, as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return work()
    finally:
        signal.signal(signal.SIGTERM, before)


def _run_once(directory: Path, plan: DemoPlan, say: Console) -> int:
    started = time.monotonic()
    with Fleet(directory, port=0) as fleet:  # nobody needs to find a collector that ends with its history
        _history(fleet, plan, say)
    source = open_local(directory)
    try:
        month = _summary(source, plan, say)
        _found(source, plan, say)
    finally:
        source.close()
    say.print(
        f"\n{plan.days:.0f} days of {len(_nodes(plan)[0])} nodes in {time.monotonic() - started:.0f} s. Look closer:"
    )
    for command in ("chargeback", "utilization", "idle", "loans", "reconcile"):
        say.print(f"  gpuledger {command} --ledger {directory} --period {month}", soft_wrap=True)
    key = directory / demo_plan.AUDIT / "audit.pub"
    say.print(f"  gpuledger report compliance --ledger {directory} --key {key} --out compliance.html", soft_wrap=True)
    for command in ("period list", "invoice list", "approval list", "budget status", "quota status"):
        say.print(f"  gpuledger {command} --ledger {directory}", soft_wrap=True)
    return DONE


def _run_live(directory: Path, plan: DemoPlan, say: Console) -> int:
    with Fleet(directory) as fleet:
        nodes, cluster = _nodes(plan)
        _history(fleet, plan, say)
        _summary(fleet.source, plan, say)
        _found(fleet.source, plan, say)
        fleet.go_live(plan, nodes, cluster)
        _stay(fleet, directory, say)
    return DONE


def _run_real(directory: Path, say: Console) -> int:
    say.print("This machine has GPUs: the demo shows them. A simulated fleet instead: gpuledger demo --simulated")
    with Fleet(directory) as fleet:
        fleet.start_collector()
        fleet.import_books()
        fleet.start_local_agent()
        _stay(fleet, directory, say)
    return DONE


def _history(fleet: Fleet, plan: DemoPlan, say: Console) -> None:
    nodes, cluster = _nodes(plan)
    fleet.start_collector()
    fleet.import_books()
    with _progress(say, plan, nodes, fleet.source) as tell:
        fleet.build_history(plan, nodes, cluster, tell)
    for label in demo_plan.ended(plan, fleet.source.query("periods", {})["rows"]):
        fleet.source.close_period(label, by="demo", exception="")
        say.print(f"{label} has ended and is closed, with its invoices", soft_wrap=True)
    demo_requests.make_requests(fleet, datetime.now(tz=UTC))
    demo_budgets.give_budgets(fleet.source, plan, fleet.directory)
    demo_quotas.give_quotas(fleet.source, plan, fleet.directory)


def _stay(fleet: Fleet, directory: Path, say: Console) -> None:
    pages = fleet.start_pages()
    for line in (
        f"\n[bold]Pages      {pages}[/bold]",
        f"Collector  {fleet.url}   (gpuledger chargeback --url {fleet.url})",
        f"Data       {directory.absolute()}",
        f"Tokens     {fleet.token_file}   (this user's commands find it; elsewhere: --token-file)\n",
        "New figures every minute. Ctrl-C stops everything; the same command goes on from there.",
    ):
        say.print(line, soft_wrap=True)
    try:
        fleet.watch()
    except KeyboardInterrupt:
        say.print("Stopping ...")


@contextmanager
def _progress(say: Console, plan: DemoPlan, nodes: list[str], source: Source) -> Iterator[Callable[[], None]]:
    columns = (
        TextColumn("History"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} node-days, {task.fields[rows]:,} rows"),
        TimeElapsedColumn(),
    )
    total = plan.days * len(nodes)
    with Progress(*columns, console=say, disable=not say.is_terminal) as progress:
        task = progress.add_task("history", total=total, rows=0)

        def tell() -> None:
            status = source.query("status", {})
            progress.update(task, completed=min(total, demo_plan.days_done(plan, status)), rows=status["usage_rows"])

        yield tell
        tell()


def _summary(source: Source, plan: DemoPlan, say: Console) -> str:
    """Print what the months of the history cost; return the last of them."""
    out = console()
    months = demo_plan.months(plan, find_zone(source.query("status", {})["zone"]))
    for period in months:
        with say.status("Rating"):
            answer = source.query("chargeback", {"period": period, "by": "team", "view": "allocation"})
        out.print(tables.chargeback(answer))
        out.print()
    return months[-1]


def _found(source: Source, plan: DemoPlan, say: Console) -> None:
    """Print what the finders tell of what the history has planted; say so where they are not installed."""
    try:
        with needs("analytics", "what was planted, and what is found of it,"):
            from gpuledger.cli import demo_findings, demo_score
    except ConfigError as absent:
        say.print(f"{absent}", style="dim")
        return
    with say.status("Looking for what was planted"):
        found = demo_findings.find_all(source, Interval(to_us(plan.from_), to_us(plan.until)))
        scores = demo_score.score(_planted(plan), found)
    console().print(demo_score.drawing(scores))


def _planted(plan: DemoPlan) -> list[Plant]:
    """Return what the scenario plants in the plan's history."""
    from agent.devices.simulated.plants import find_plants
    from agent.devices.simulated.scenario import load

    scenario = load(demo_plan.SCENARIO)
    return find_plants(scenario, scenario.at(to_us(plan.from_), plan.days, nodes=plan.nodes, seed=plan.seed))


def _nodes(plan: DemoPlan) -> tuple[list[str], str]:
    from agent.devices.simulated.scenario_file import read_scenario

    scenario = read_scenario(demo_plan.SCENARIO)
    if plan.nodes is not None and plan.nodes > len(scenario.node):
        most = len(scenario.node)
        raise ConfigError(
            f"the demo's fleet has {most} nodes, not {plan.nodes}", hint=f"--nodes {most}, or leave it out"
        )
    return [node.name for node in scenario.node][: plan.nodes], scenario.cluster


def _real_gpus() -> int:
    from gpuledger.cli.checks.driver import count_gpus

    return count_gpus()
