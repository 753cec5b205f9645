"""What a scenario file says: nodes, teams, workloads, faults and outages, checked strictly before anything is built."""

from __future__ import annotations

import difflib
import re
import tomllib
import typing
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND
from gpuledger.errors import ConfigError

SCENARIOS: Final = Path(__file__).parent / "scenarios"
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
Throttle = Literal[
    "software_power_cap", "hardware_slowdown", "software_thermal", "hardware_thermal", "hardware_power_brake"
]
_Positive = Annotated[int, msgspec.Meta(ge=1)]
_TIME: Final = re.compile(
    r"(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+)s)?\s*(?:(\d{1,2}):(\d{2})(?::(\d{2}))?)?"
)
_UNITS_US: Final = (
    US_PER_DAY,
    US_PER_HOUR,
    US_PER_MINUTE,
    US_PER_SECOND,
    US_PER_HOUR,
    US_PER_MINUTE,
    US_PER_SECOND,
)


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file: unknown keys are errors."""


class MigSpec(_Strict, frozen=True):
    """A MIG instance: its profile and its NVML index, which may leave holes."""

    profile: str
    index: Annotated[int, msgspec.Meta(ge=0, le=6)]


class BoardsSpec(_Strict, frozen=True):
    """Boards of one kind; with `mig` each of them is cut in that way."""

    capture: str
    count: _Positive = 1
    mig: tuple[MigSpec, ...] = ()
    accounting: bool = False  # accounting mode is on: processes that end are in the driver's record


class NodeSpec(_Strict, frozen=True):
    """A machine, its boards in NVML order, and how its cgroups look."""

    name: str
    boards: tuple[BoardsSpec, ...]
    pool: str = ""
    cgroups: Literal["systemd", "cgroupfs", "v1", "v2"] = "systemd"  # of kubelet: the first two; of Slurm: the last two


class TeamSpec(_Strict, frozen=True):
    """A team that runs workloads."""

    name: str


class ActivitySpec(_Strict, frozen=True):
    """How busy a workload keeps its devices, in whole percents that hold for one minute each."""

    shape: Literal["none", "steady", "diurnal", "bursty"] = "steady"
    level: Percent = 80  # while it works; of diurnal: at the peak
    low: Percent = 10  # diurnal: at the quietest hour
    jitter: Percent = 5  # up or down, from minute to minute
    dips: Percent = 0  # of the minutes in which it does nothing (checkpoints, input)
    peak_hour: Annotated[int, msgspec.Meta(ge=0, le=23)] = 14
    weekend: Percent = 100  # of the level that is left at weekends
    duty: Percent = 50  # bursty: of the blocks in which it works
    block_minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)] = 15


class WorkloadSpec(_Strict, frozen=True):
    """What a team runs: on which devices, when, and how it shows to the node."""

    name: str
    kind: Literal["training", "notebook", "inference", "batch"]
    platform: Literal["kubernetes", "slurm", "user"]
    duration: str
    team: str = ""  # empty: nobody claims it
    on: tuple[str, ...] = ()  # node/board, node/first-last, node/board/mig index
    gpus: Annotated[int, msgspec.Meta(ge=0)] = 0  # of `on` for each replica (0: all of them), or of free ones in `pool`
    pool: str = ""
    replicas: _Positive = 1
    start: str = "0d"
    every: str = ""
    until: str = ""  # no run starts at or after it
    weekdays: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = WEEKDAYS
    vary_start: str = ""  # each run starts up to this much later
    vary_duration: str = ""  # and lasts up to this much longer
    memory_mib: Annotated[int, msgspec.Meta(ge=0)] = 1024
    activity: ActivitySpec = ActivitySpec()
    namespace: str = ""
    pod: str = "{workload}-{run}-{replica}"
    container: str = "main"
    account: str = ""
    partition: str = "gpu"
    user: str = ""
    uid: int | None = None
    environ: dict[str, str] = {}  # {run}, {replica}, and an identifier of each run as {hex} or {uuid}


class FaultSpec(_Strict, frozen=True):
    """An XID on a board; with `lost_until` the board is gone for that time and comes back with its counter at zero."""

    device: str
    at: str
    xid: _Positive
    lost_until: str = ""
    kills: bool = False  # ends what runs on the board, as losing it always does


class ConditionSpec(_Strict, frozen=True):
    """A board in trouble for a while: what it counts, what waits or failed, why its clocks are low, what it wants.

    Where it wants something done, or could not remap a row, its time is unavailable; whoever is on it goes on.
    """

    device: str
    since: str = msgspec.field(name="from")
    to: str
    recovery_action: Literal["none", "gpu_reset", "node_reboot", "drain_p2p", "drain_and_reset"] = "none"
    row_remap_failure: bool = False
    row_remap_pending: bool = False
    ecc_corrected: Annotated[int, msgspec.Meta(ge=0)] = 0
    ecc_uncorrected: Annotated[int, msgspec.Meta(ge=0)] = 0
    throttle: tuple[Throttle, ...] = ()


class ReloadSpec(_Strict, frozen=True):
    """The driver of a node is loaded again: whatever runs there ends, every counter starts at zero."""

    node: str
    at: str


class OutageSpec(_Strict, frozen=True):
    """The agent of a node takes its last sample at `from`, and the next one at `to`."""

    node: str
    since: str = msgspec.field(name="from")
    to: str


class ChangeSpec(_Strict, frozen=True):
    """What is otherwise from then on: a board's power for the same work, or what a workload's next runs do.

    `power_percent` is of what activity draws on such a board, `clock_percent` of its clock; times are whole minutes.
    """

    since: str = msgspec.field(name="from")
    device: str = ""
    workload: str = ""
    power_percent: Annotated[int, msgspec.Meta(ge=1, le=200)] | None = None
    clock_percent: Annotated[int, msgspec.Meta(ge=1, le=200)] | None = None
    activity: ActivitySpec | None = None
    memory_mib: Annotated[int, msgspec.Meta(ge=0)] | None = None


class WasteSpec(_Strict, frozen=True):
    """What the fleet wastes on purpose: a workload that holds devices and does nothing, or a node's MIG layout."""

    reason: Literal["memory_held", "throttled", "stranded"]
    workload: str = ""
    node: str = ""


class ScenarioFile(_Strict, frozen=True):
    """A whole scenario; all times count from its start."""

    name: str
    cluster: str
    length: str
    node: tuple[NodeSpec, ...]
    seed: int = 1
    team: tuple[TeamSpec, ...] = ()
    workload: tuple[WorkloadSpec, ...] = ()
    fault: tuple[FaultSpec, ...] = ()
    condition: tuple[ConditionSpec, ...] = ()
    reload: tuple[ReloadSpec, ...] = ()
    outage: tuple[OutageSpec, ...] = ()
    change: tuple[ChangeSpec, ...] = ()
    waste: tuple[WasteSpec, ...] = ()


def read_scenario(name_or_path: str | Path) -> ScenarioFile:
    """Return the scenario of that name, or at that path (anything with a suffix or a folder in it).

    Raises ConfigError on a scenario that is not there, is not TOML, or has an unknown key or a wrong value.
    """
    path = Path(name_or_path)
    if not path.suffix and path.name == str(name_or_path):
        path = SCENARIOS / f"{name_or_path}.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        known = sorted(found.stem for found in SCENARIOS.glob("*.toml") if "-" not in found.stem)
        raise ConfigError(
            f"cannot read scenario {name_or_path}: {error.strerror}", hint=f"scenarios here: {', '.join(known)}"
        ) from error
    return parse_scenario(text, str(path))


def parse_scenario(text: str, source: str) -> ScenarioFile:
    """Return the scenario in a TOML text; `source` names it in errors."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{source} is not TOML: {error}", hint="text needs quotes; tables look like [[node]]"
        ) from error
    _refuse_unknown(ScenarioFile, tables, source, "")
    try:
        return msgspec.convert(tables, ScenarioFile)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {error}", hint='times are text such as "2d 09:30" or "90m"') from error


def parse_time_us(text: str, where: str) -> int:
    """Return `text` ("3d 4h", "2d 09:30", "90m", "00:10:30") in microseconds. Raises ConfigError on anything else."""
    found = _TIME.fullmatch(text.strip())
    if not found or not text.strip():
        raise ConfigError(f'{where}: "{text}" is not a time', hint='write "2d 09:30", "3d 4h 30m" or "90m"')
    days, hours, minutes, seconds, clock_hours, clock_minutes, clock_seconds = (
        int(part or 0) for part in found.groups()
    )
    return (
        days * US_PER_DAY
        + (hours + clock_hours) * US_PER_HOUR
        + (minutes + clock_minutes) * US_PER_MINUTE
        + (seconds + clock_seconds) * US_PER_SECOND
    )


def nearest(name: str, known: typing.Iterable[str]) -> str:
    """Return a hint that names the known word closest to `name`, or all of them."""
    words = list(known)
    close = difflib.get_close_matches(name, words, n=1, cutoff=0.5)
    return f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(sorted(words)) or 'nothing'}"


def _refuse_unknown(cls: type[msgspec.Struct], table: dict[str, Any], source: str, place: str) -> None:
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(cls)}
    for key, value in table.items():
        if key not in fields:
            raise ConfigError(f'unknown key "{key}"{place} in {source}', hint=nearest(key, fields))
        inner = _table_type(fields[key])
        if inner is None:
            continue
        for number, entry in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(entry, dict):
                label = entry.get("name", number) if isinstance(value, list) else ""
                _refuse_unknown(inner, entry, source, f"{place} of {key} {label}".rstrip())


def _table_type(annotation: object) -> type[msgspec.Struct] | None:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    if typing.get_origin(annotation) is tuple:
        return _table_type(typing.get_args(annotation)[0])
    return None
