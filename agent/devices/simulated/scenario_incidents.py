"""What goes wrong in a scenario: faults, lost boards, conditions, driver loads, agent outages; times from its start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from agent.devices.base import BoardHealth
from agent.devices.simulated.scenario_file import (
    ConditionSpec,
    FaultSpec,
    OutageSpec,
    ScenarioFile,
    nearest,
    parse_time_us,
)
from agent.devices.simulated.scenario_hardware import Board, find_slots
from agent.devices.simulated.scenario_schedule import Cut
from agent.devices.simulated.world import Condition
from agent.health.conditions import RECOVERY_ACTIONS, fault_of
from agent.health.throttling import REASONS
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.units import US_PER_MINUTE
from gpuledger.errors import ConfigError

_ACTION_NUMBERS: Final = {action.name: number for number, action in RECOVERY_ACTIONS.items()}
_ECC_CORRECTED: Final = 3  # numbers of NVML's fields
_ECC_UNCORRECTED: Final = 4
_ROW_REMAP_PENDING: Final = 144
_ROW_REMAP_FAILURE: Final = 145
_RECOVERY_ACTION: Final = 230


class Fault(NamedTuple):
    """An XID on a board. `lost` is how long the board is gone after it; empty where it stays."""

    node: str
    board: int
    at_us: int
    xid: int
    lost: Interval
    kills: bool


class Impairment(NamedTuple):
    """A board in trouble; with a `fault` its time is unavailable."""

    node: str
    board: int
    interval: Interval
    condition: Condition
    fault: str


class Incidents(NamedTuple):
    """Everything that goes wrong, in the order of the file. Reloads and outages come with their node."""

    faults: tuple[Fault, ...]
    impairments: tuple[Impairment, ...]
    reloads: tuple[tuple[str, int], ...]
    outages: tuple[tuple[str, Interval], ...]

    @property
    def losses(self) -> list[Fault]:
        """Return the faults that take their board away for a while."""
        return [fault for fault in self.faults if fault.lost.length_us]

    @property
    def cuts(self) -> list[Cut]:
        """Return what ends runs."""
        cuts = [Cut(fault.node, fault.board, fault.lost) for fault in self.faults if fault.kills]
        return cuts + [Cut(node, None, Interval(at_us, at_us)) for node, at_us in self.reloads]

    def of(self, nodes: set[str]) -> Incidents:
        """Return those of the named nodes."""
        return Incidents(
            tuple(fault for fault in self.faults if fault.node in nodes),
            tuple(impairment for impairment in self.impairments if impairment.node in nodes),
            tuple(reload for reload in self.reloads if reload[0] in nodes),
            tuple(outage for outage in self.outages if outage[0] in nodes),
        )


def find_incidents(file: ScenarioFile, boards: Mapping[str, tuple[Board, ...]]) -> Incidents:
    """Return a scenario's incidents.

    Raises ConfigError where one names nothing, ends before it starts, or has no truth that anybody could know.
    """
    for node in (*(reload.node for reload in file.reload), *(outage.node for outage in file.outage)):
        if node not in boards:
            raise ConfigError(f'no node "{node}" for an outage or a reload', hint=nearest(node, boards))
    whole = {name: tuple(map(_without_mig, of_node)) for name, of_node in boards.items()}
    found = Incidents(
        tuple(_fault(fault, whole) for fault in file.fault),
        tuple(_impairment(condition, boards) for condition in file.condition),
        tuple((reload.node, parse_time_us(reload.at, f"reload of {reload.node}")) for reload in file.reload),
        tuple(
            (outage.node, _whole_minutes(f"outage of {outage.node}", outage.since, outage.to)) for outage in file.outage
        ),
    )
    _refuse_hidden_resets(found)
    return found


def _without_mig(board: Board) -> Board:
    """Return the board as a whole: a fault strikes the card, not a slice."""
    return board._replace(spec=board.spec._replace(slices=()))


def _fault(fault: FaultSpec, boards: dict[str, tuple[Board, ...]]) -> Fault:
    where = f"fault on {fault.device}"
    slots = find_slots(fault.device, boards, where)
    if len(slots) != 1:
        raise ConfigError(f"{where} strikes {len(slots)} boards", hint="write one fault for each")
    at_us = parse_time_us(fault.at, where)
    until_us = parse_time_us(fault.lost_until, where) if fault.lost_until else at_us
    if until_us < at_us or (fault.lost_until and until_us == at_us):
        raise ConfigError(f"{where} ends before it starts", hint='"lost_until" counts from the scenario\'s start')
    lost = Interval(at_us, until_us)
    return Fault(slots[0].node, slots[0].board, at_us, fault.xid, lost, fault.kills or lost.length_us > 0)


def _impairment(spec: ConditionSpec, boards: Mapping[str, tuple[Board, ...]]) -> Impairment:
    where = f"condition of {spec.device}"
    slots = find_slots(
        spec.device, {name: tuple(map(_without_mig, of_node)) for name, of_node in boards.items()}, where
    )
    if len(slots) != 1:
        raise ConfigError(f"{where} is of {len(slots)} boards", hint="write one condition for each")
    node, board, _ = slots[0]
    health = BoardHealth(
        recovery_action=_ACTION_NUMBERS[spec.recovery_action], row_remap_failure=int(spec.row_remap_failure)
    )
    fault = fault_of(health)
    if fault and boards[node][board].spec.slices:
        raise ConfigError(f"{where}: a fault of a board that is cut", hint="its truth is not told: take a whole board")
    fields = {
        _RECOVERY_ACTION: health.recovery_action or 0,
        _ROW_REMAP_FAILURE: int(spec.row_remap_failure),
        _ROW_REMAP_PENDING: int(spec.row_remap_pending),
        _ECC_CORRECTED: spec.ecc_corrected,
        _ECC_UNCORRECTED: spec.ecc_uncorrected,
    }
    bits = sum(bit for bit, name in REASONS.items() if name in spec.throttle)
    planted = {field: value for field, value in fields.items() if value}
    return Impairment(node, board, _whole_minutes(where, *_ends(spec)), Condition(bits, planted), fault)


def _ends(spec: ConditionSpec | OutageSpec) -> tuple[str, str]:
    return spec.since, spec.to


def _whole_minutes(where: str, since: str, to: str) -> Interval:
    interval = Interval(parse_time_us(since, where), parse_time_us(to, where))
    if any(at_us % US_PER_MINUTE for at_us in interval) or interval.length_us <= 0:
        raise ConfigError(f"{where}: not from one whole minute to a later one", hint="leave seconds out")
    return interval


def _refuse_hidden_resets(incidents: Incidents) -> None:
    """Raise ConfigError where a counter starts again while nobody looks: what it had counted is then unknowable."""
    resets = [(fault.node, fault.lost) for fault in incidents.losses]
    resets += [(node, Interval(at_us, at_us)) for node, at_us in incidents.reloads]
    for node, outage in incidents.outages:
        for where, reset in resets:
            if where == node and reset.start_us < outage.end_us and outage.start_us <= reset.end_us:
                message = f"{node}: a board is lost, or the driver loaded, during an outage of the agent"
                raise ConfigError(message, hint="move one of them: its energy has no known truth")
