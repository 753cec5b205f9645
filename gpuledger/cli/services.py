"""`agent`, `collector`, `dashboards`: the three long-running processes."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

import msgspec

from gpuledger.cli.arguments import Commands, Parser, add_command
from gpuledger.cli.exits import DONE
from gpuledger.cli.extras import needs, require
from gpuledger.cli.processes import refuse_busy
from gpuledger.client import DEFAULT_URL
from gpuledger.config import effective, load_config
from gpuledger.errors import ConfigError

DASHBOARD_PORT = 8501


def register(commands: Commands) -> None:
    """Add the commands."""
    agent = add_command(commands, "agent", "read this node's GPUs and deliver what is found to a collector")
    _add_config(agent)
    agent.set_defaults(run=run_agent)
    collector = add_command(commands, "collector", "keep the ledger: take batches in, answer questions over HTTP")
    _add_config(collector)
    collector.set_defaults(run=run_collector)
    pages = add_command(commands, "dashboards", "serve the pages over a running collector")
    pages.add_argument("--url", default=os.environ.get("GPULEDGER_URL") or DEFAULT_URL, help="the collector to read")
    pages.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    pages.add_argument("--port", type=int, default=DASHBOARD_PORT, help=f"port to listen on ({DASHBOARD_PORT})")
    pages.add_argument("--secrets", type=Path, metavar="FILE", help="Streamlit's secrets.toml: single sign-on")
    pages.set_defaults(run=run_dashboards)


def run_agent(args: argparse.Namespace) -> int:
    """Become the agent, or check its settings. It is a program of its own: it has no use for what is loaded here."""
    require("agent", "the agent")
    from agent import app
    from agent.config import AgentSettings

    settings = load_config(AgentSettings, args.config, os.environ)
    if args.check_config:
        app.check(settings)
        return _show(settings)
    command = [sys.executable, "-P", "-m", "agent", *([str(args.config)] if args.config else [])]
    return os.execv(command[0], command)  # noqa: S606 - signals reach the agent itself


def run_collector(args: argparse.Namespace) -> int:
    """Run the collector until it is told to stop, or check its settings."""
    with needs("collector", "the collector"):
        from collector import app
        from collector.config import CollectorSettings
    settings = load_config(CollectorSettings, args.config, os.environ)
    if args.check_config:
        return _show(settings)
    return app.run(settings)


def run_dashboards(args: argparse.Namespace) -> NoReturn:
    """Become the server of the pages."""
    require("dashboards", "the pages")
    from dashboards.launch import check_secrets, command

    if args.secrets:
        check_secrets(args.secrets)
    if not 0 < args.port <= 65_535:
        raise ConfigError(f"{args.port} is not a port", hint="give a number from 1 to 65535")
    refuse_busy(args.host, args.port)
    line = command(args.port, args.host, args.secrets)
    os.execve(line[0], line, {**os.environ, "GPULEDGER_URL": args.url})  # noqa: S606 - signals reach the server itself


def _add_config(parser: Parser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML); GPULEDGER_* variables override")
    parser.add_argument("--check-config", action="store_true", help="print the effective settings, and leave")


def _show(settings: msgspec.Struct) -> int:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(effective(settings)), indent=2).decode() + "\n")
    return DONE
