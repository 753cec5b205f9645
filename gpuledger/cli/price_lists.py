"""`price convert`: a published price list made into a price book that a person reviews before importing it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from gpuledger.cli.arguments import Commands, add_command
from gpuledger.cli.exits import DONE
from gpuledger.cli.extras import needs
from gpuledger.cli.sources import read_book
from gpuledger.errors import ConfigError

SHOWN: Final = 20
SOURCES: Final = "aws, azure, gcp, skypilot, opencost-csv, opencost-json"


def register(actions: Commands) -> None:
    """Add the command beside `price import`."""
    converting = add_command(
        actions, "convert", "make a published price list into a price book to review; stores nothing"
    )
    converting.add_argument("file", type=Path, metavar="FILE")
    converting.add_argument("--source", required=True, metavar="NAME", help=f"whose list it is: {SOURCES}")
    converting.add_argument("--map", type=Path, metavar="FILE", help="a table (TOML) of what its GPUs are to NVML")
    converting.add_argument("--region", default="", metavar="NAME", help="of a list with several")
    converting.add_argument("--pricing", choices=("on_demand", "spot"), default="on_demand", help="how it is sold")
    converting.add_argument("--currency", default="", metavar="CODE", help="where the list does not say (USD)")
    converting.add_argument("--output", type=Path, metavar="FILE", help="a new file (default: standard output)")
    converting.set_defaults(run=run_convert)


def run_convert(args: argparse.Namespace) -> int:
    """Write the draft; say on standard error what became of every price."""
    content = read_book(args.file)
    if args.output and args.output.exists():
        raise ConfigError(f"{args.output} exists", hint="give a new name: a reviewed book is not overwritten")
    with needs("collector", "price convert"):
        from collector.pricing.offers.convert import Wanted, convert
        from collector.pricing.offers.models import parse_rules
    rules = parse_rules(read_book(args.map), args.map.name) if args.map else []
    wanted = Wanted(args.source, args.region, args.pricing, args.currency)
    draft = convert(content, args.file.name, wanted, rules)
    if args.output:
        _write(args.output, draft.text)
    else:
        sys.stdout.write(draft.text)
    say = [f"! {warning}" for warning in draft.warnings]
    say += [f"not priced: {item.where}: {item.name}: {item.why}" for item in draft.left_out[:SHOWN]]
    if len(draft.left_out) > SHOWN:
        say.append(f"not priced: {len(draft.left_out) - SHOWN} more, at the end of the draft")
    say.append(
        f"{draft.entries} models priced, {draft.others} other machines in comments, {len(draft.left_out)} not priced,"
        f" {draft.elsewhere} of other regions or sold another way. Review it, then: gpuledger price import"
    )
    sys.stderr.write("\n".join([*say, ""]))
    return DONE


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}", hint="give a file in a folder that exists"
        ) from error
