"""`quota`: the quota book, where each quota stands, and the manifests of a cluster that are made of it."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from gpuledger.cli import quota_tables, shares, tables
from gpuledger.cli.arguments import Commands, Parser, add_command, add_output, add_source
from gpuledger.cli.exits import DONE
from gpuledger.cli.output import emit, write_bytes
from gpuledger.cli.sources import open_source, read_book


def register(commands: Commands) -> None:
    """Add the commands. Without an action it is `share use`, which had this name first."""
    group = add_command(
        commands, "quota", "quotas: how many GPUs and GPU-hours each owner may have, and where that stands"
    )
    shares.add_reading(group, shares.run_use)
    actions = group.add_subparsers(metavar="ACTION", parser_class=Parser)
    importing = add_command(actions, "import", "make FILE (TOML) the whole quota book; older versions are kept")
    importing.add_argument("file", type=Path, metavar="FILE")
    importing.add_argument("--dry-run", action="store_true", help="show where its quotas would stand; stores nothing")
    importing.set_defaults(run=run_import)
    listing = add_command(actions, "list", "show the book that applies")
    listing.set_defaults(run=run_list)
    status = add_command(actions, "status", "show where each quota stands now: used, borrowed, lent, and what fits")
    status.set_defaults(run=run_status)
    evaluating = add_command(actions, "evaluate", "record which stages are reached, as the collector does by itself")
    evaluating.set_defaults(run=run_evaluate)
    for parser in (importing, listing, status, evaluating):
        add_source(parser)
        add_output(parser)
    _register_manifests(actions)


def _register_manifests(actions: Commands) -> None:
    making = add_command(actions, "manifests", "make YAML for a cluster of the quotas of GPUs; applies nothing")
    target = making.add_mutually_exclusive_group()
    target.add_argument("--kueue", dest="target", action="store_const", const="kueue", help="Kueue's queues (this)")
    target.add_argument(
        "--resource-quota", dest="target", action="store_const", const="resource-quota", help="a ResourceQuota each"
    )
    making.add_argument("--cluster", default="", metavar="NAME", help="where owner rules ask: as its agents name it")
    making.add_argument("--output", type=Path, metavar="FILE", help="write there instead of to standard output")
    add_source(making)
    making.set_defaults(run=run_manifests, target="kueue")


def run_import(args: argparse.Namespace) -> int:
    """Import a quota book, or say where its quotas would stand."""
    read_book(args.file)  # a file that is not there makes no ledger
    with open_source(args, create=not args.dry_run) as source:
        if args.dry_run:
            emit(args, source.try_book("quotas", args.file), quota_tables.tried)
        else:
            emit(args, source.import_book("quotas", args.file), partial(tables.imported_book, "quotas"))
    return DONE


def run_list(args: argparse.Namespace) -> int:
    """Print the quota book."""
    with open_source(args) as source:
        answer = source.query("quotas/book", {})
    emit(args, answer, quota_tables.book)
    return DONE


def run_status(args: argparse.Namespace) -> int:
    """Print where quotas stand."""
    with open_source(args) as source:
        answer = source.query("quotas/status", {})
    emit(args, answer, quota_tables.status)
    return DONE


def run_evaluate(args: argparse.Namespace) -> int:
    """Look at all quotas, and print what was recorded."""
    with open_source(args) as source:
        answer = source.change("/v1/quotas/evaluation", {})
    emit(args, answer, quota_tables.evaluation)
    return DONE


def run_manifests(args: argparse.Namespace) -> int:
    """Write the manifests; what they do not say is in their comments, and on standard error."""
    with open_source(args) as source:
        answer = source.query("quotas/manifests", {"target": args.target, "cluster": args.cluster})
    write_bytes(args.output, answer["text"].encode())
    said = [f"not as in the book: {note}" for note in answer["notes"]]
    sys.stderr.write("\n".join([*said, f"{answer['objects']} objects. Review them, then: kubectl apply -f FILE", ""]))
    return DONE
