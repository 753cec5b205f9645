"""`doctor`: what works here and what does not, each with what is lost and the next step."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import RenderableType

from gpuledger.cli.arguments import Commands, add_command, add_output
from gpuledger.cli.checks.finding import Finding
from gpuledger.cli.checks.machine import Machine, machine_checks
from gpuledger.cli.checks.places import places_of
from gpuledger.cli.drawing import Line, draw, words
from gpuledger.cli.exits import DONE, VIOLATION
from gpuledger.cli.extras import missing_modules
from gpuledger.cli.output import emit
from gpuledger.config import load_config

if TYPE_CHECKING:
    from agent.config import AgentSettings

USUAL_CONFIG: Final = Path("/etc/gpuledger/agent.toml")
_MARKS: Final = {"ok": "ok", "warning": "look", "failed": "FAILED", "absent": "not here"}


def register(commands: Commands) -> None:
    """Add the command."""
    doctor = add_command(commands, "doctor", "what works here and what does not, each with the next step")
    doctor.add_argument(
        "--config", type=Path, metavar="FILE", help=f"the agent's settings ({USUAL_CONFIG} where there is one)"
    )
    doctor.add_argument("--url", default=os.environ.get("GPULEDGER_URL") or None, help="another collector to try")
    doctor.add_argument("--spool", type=Path, metavar="DIR", help="another folder for the agent's spool")
    add_output(doctor)
    doctor.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make every check; exit code 3 where one failed."""
    from agent.config import AgentSettings

    config = args.config or (USUAL_CONFIG if USUAL_CONFIG.exists() else None)
    settings = load_config(AgentSettings, config, os.environ)
    findings = [_settings(config), *machine_checks(machine_of(settings, args.url, args.spool))]
    if not missing_modules("agent"):
        from agent.holders.kubernetes.probe import probe_kubernetes

        findings += [Finding(*probed) for probed in probe_kubernetes(settings)]
    failed = any(finding.status == "failed" for finding in findings)
    rows = [finding._asdict() for finding in findings]
    emit(args, {"ok": not failed, "rows": rows}, _table)
    return VIOLATION if failed else DONE


def machine_of(settings: AgentSettings, url: str | None = None, spool: Path | None = None) -> Machine:
    """Return what an agent of these settings would use; `url` and `spool` take the place of its own."""
    return Machine(
        url=url or settings.collector.url,
        spool=spool or settings.spool.directory,
        node=settings.agent.node,
        host=socket.gethostname(),
        library=settings.nvml.library,
        token_file=settings.collector.token_file or settings.collector.join_token_file,
        places=places_of(settings),
        api=getattr(settings.kubernetes, "api", True),
        api_url=getattr(settings.kubernetes, "api_url", ""),
    )


def _settings(config: Path | None) -> Finding:
    if config is None:
        return Finding("settings", "absent", "no file: those that the agent has by itself", "name one with --config")
    return Finding("settings", "ok", str(config))


def _table(answer: Mapping[str, Any]) -> RenderableType:
    findings = [Finding(**row) for row in answer["rows"]]
    lines = [Line((found.check, _MARKS[found.status], _words(found)), _kind(found)) for found in findings]
    failed = sum(found.status == "failed" for found in findings)
    title = "Everything that is here works" if not failed else f"{failed} of {len(findings)} checks failed"
    return draw(title, (words("Check"), words("Result"), words("Found, what is lost, and the next step")), lines)


def _words(found: Finding) -> str:
    lines = [found.found]
    if found.lost:
        lines.append(f"lost: {found.lost}")
    if found.next_step:
        lines.append(f"-> {found.next_step}")
    return "\n".join(lines)


def _kind(found: Finding) -> str:
    return {"failed": "failed", "absent": "aside"}.get(found.status, "")
