"""`doctor`: what works here and what does not, each with the next step."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from gpuledger.cli.arguments import Commands, add_command, add_output
from gpuledger.cli.checks import Finding, machine_checks
from gpuledger.cli.drawing import Line, draw, words
from gpuledger.cli.exits import DONE, VIOLATION
from gpuledger.cli.output import emit
from gpuledger.client import DEFAULT_URL

_MARKS = {"ok": "ok", "warning": "look", "failed": "FAILED", "absent": "not here"}


def register(commands: Commands) -> None:
    """Add the command."""
    doctor = add_command(commands, "doctor", "what works here and what does not, each with the next step")
    doctor.add_argument("--url", default=os.environ.get("GPULEDGER_URL") or DEFAULT_URL, help="the collector to try")
    doctor.add_argument("--spool", type=Path, default=Path("gpuledger-spool"), metavar="DIR", help="the agent's spool")
    add_output(doctor)
    doctor.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make every check; exit code 3 where one failed."""
    findings = machine_checks(args.url, args.spool)
    failed = any(finding.status == "failed" for finding in findings)
    rows = [finding._asdict() for finding in findings]
    emit(args, {"ok": not failed, "rows": rows}, _table)
    return VIOLATION if failed else DONE


def _table(answer: Mapping[str, Any]) -> RenderableType:
    findings = [Finding(**row) for row in answer["rows"]]
    lines = [Line((found.check, _MARKS[found.status], _words(found)), _kind(found)) for found in findings]
    failed = sum(found.status == "failed" for found in findings)
    title = "Everything that is here works" if not failed else f"{failed} of {len(findings)} checks failed"
    return draw(title, (words("Check"), words("Result"), words("Found, and the next step")), lines)


def _words(found: Finding) -> str:
    return f"{found.found}\n-> {found.next_step}" if found.next_step else found.found


def _kind(found: Finding) -> str:
    return {"failed": "failed", "absent": "aside"}.get(found.status, "")
