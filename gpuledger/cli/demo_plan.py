"""What a demo consists of: its time span, its folder, and one settings file per process. Pure, but for writing them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final

import msgspec

from gpuledger.accounting.periods import month_of, to_us
from gpuledger.errors import ConfigError

SCENARIO: Final = "demo"
AUDIT: Final = "audit"  # in the demo's folder: the key that signs the audit log, its public half, and checkpoints
MARKER: Final = "demo.json"
MAX_DAYS: Final = 3_650
LEDGER_FILE: Final = "ledger.duckdb"
HISTORY_INTERVAL_MS: Final = 60_000
LIVE_DAYS: Final = 60  # for how long after its history the scenario still has work to show
MAX_ROWS: Final = 20_000
HISTORY_SEAL_S: Final = 14 * 86_400  # batches of history are cut by rows, not by time

Section = Mapping[str, str | int | float | bool | datetime]


class DemoPlan(msgspec.Struct, frozen=True):
    """Which demo a folder holds; the same plan may go on in it."""

    seed: int | None
    nodes: int | None
    from_: datetime
    until: datetime

    @property
    def days(self) -> float:
        """Return how long the history is."""
        return (self.until - self.from_) / timedelta(days=1)


def make_plan(now: datetime, days: int, seed: int | None, nodes: int | None) -> DemoPlan:
    """Return a plan whose history ends at the last full hour, and begins at midnight `days` days before."""
    if not 1 <= days <= MAX_DAYS or (nodes is not None and nodes < 1):
        raise ConfigError(f"a demo has 1 to {MAX_DAYS} days and at least one node", hint="--days 30 --nodes 6")
    until = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    start = (until - timedelta(days=days)).replace(hour=0)
    return DemoPlan(seed=seed, nodes=nodes, from_=start, until=until)


def settle(directory: Path, wanted: DemoPlan) -> DemoPlan:
    """Return the plan to follow in `directory`: the one that it holds, with a later end, or `wanted` in an empty one.

    Raises ConfigError where the folder holds a ledger that is no demo, or another demo.
    """
    marker = directory / MARKER
    if not marker.is_file():
        if (directory / LEDGER_FILE).exists():
            raise ConfigError(f"{directory} holds a ledger that is no demo", hint="name another folder with --data-dir")
        return wanted
    try:
        held = msgspec.json.decode(marker.read_bytes(), type=DemoPlan)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{marker} cannot be read: {error}", hint=f"remove {directory} and start again") from error
    if (held.seed, held.nodes) != (wanted.seed, wanted.nodes):
        raise ConfigError(
            f"{directory} holds another demo (seed {held.seed}, nodes {held.nodes})",
            hint="give the same --seed and --nodes to go on with it, or name another folder with --data-dir",
        )
    return msgspec.structs.replace(held, until=max(held.until, wanted.until))


def ended(plan: DemoPlan, periods: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the billing periods that wait to be closed and lie within the history: what goes on live is not whole."""
    return [
        row["label"] for row in periods if row["state"] == "closing" and datetime.fromisoformat(row["to"]) <= plan.until
    ]


def remember(directory: Path, plan: DemoPlan) -> None:
    """Write down which demo `directory` holds."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / MARKER).write_bytes(msgspec.json.encode(plan))
    except OSError as error:
        raise ConfigError(
            f"{directory} cannot hold a demo: {error.strerror}", hint="name a folder of yours with --data-dir"
        ) from error


def collector_settings(directory: Path, port: int) -> str:
    """Return the collector's settings."""
    here = directory.absolute()
    return toml(
        {
            "server": {"port": port},
            "ledger": {"directory": str(here)},
            "audit": {"key": str(here / AUDIT / "audit.key"), "checkpoints": str(here / AUDIT / "checkpoints")},
        }
    )


def agent_settings(directory: Path, plan: DemoPlan, node: str, cluster: str, url: str, *, live: bool) -> str:
    """Return the settings of one node's agent: its history in large batches, or the time that passes now."""
    simulation: dict[str, str | int | float | bool | datetime] = {
        "scenario": SCENARIO,
        "node": node,
        "from": plan.from_,
        "days": round(plan.days + LIVE_DAYS),
        "live": live,
    }
    if not live:
        simulation["until"] = plan.until
    if plan.seed is not None:
        simulation["seed"] = plan.seed
    if plan.nodes is not None:
        simulation["nodes"] = plan.nodes
    spool = directory.absolute() / "spools" / node
    return toml(
        {
            "agent": {"cluster": cluster},
            "sampling": {"interval_ms": HISTORY_INTERVAL_MS},
            "spool": {
                "directory": str(spool),
                "max_rows": MAX_ROWS,
                "seal_interval_s": 60 if live else HISTORY_SEAL_S,
            },
            "collector": {"url": url, "timeout_s": 60.0},
            "exporter": {"enabled": live, "port": 0},
            "simulation": simulation,
        }
    )


def local_agent_settings(directory: Path, url: str) -> str:
    """Return the settings of an agent that reads this machine's own GPUs."""
    spool = directory.absolute() / "spools" / "local"
    return toml({"spool": {"directory": str(spool), "seal_interval_s": 60}, "collector": {"url": url}})


def days_done(plan: DemoPlan, status: Mapping[str, Any]) -> float:
    """Return how many node-days of the history the collector has, of all agents together."""
    known = (datetime.fromisoformat(agent["known_until"]) for agent in status["agents"])
    return sum(max(timedelta(0), at - plan.from_) / timedelta(days=1) for at in known)


def toml(sections: Mapping[str, Section]) -> str:
    """Return sections of plain values as TOML."""
    lines: list[str] = []
    for name, values in sections.items():
        lines += [f"[{name}]", *(f"{key} = {_value(value)}" for key, value in values.items()), ""]
    return "\n".join(lines)


def _value(value: str | float | bool | datetime) -> str:  # noqa: FBT001 - a TOML value
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return json.dumps(value)


def months(plan: DemoPlan, zone: tzinfo = UTC) -> Sequence[str]:
    """Return the months that the history touches at its end: the last one before the current, and the current."""
    current = month_of(to_us(plan.until), zone)
    before = month_of(current.start_us - 1, zone)
    return (before.label, current.label) if to_us(plan.from_) < before.end_us else (current.label,)
