"""The table of XIDs, the conditions of boards, and why a held board may do nothing."""

from __future__ import annotations

import pytest

from agent.devices.base import BoardHealth, BoardReading
from agent.health.conditions import UNAVAILABLE_ON, fault_of
from agent.health.throttling import idle_reason, reason_names
from agent.health.xids import CATALOGUE, CLASSES, HEADER, XIDS, classify
from tests.agent.nodes import gpu


@pytest.mark.parametrize("code", [11, 13, 25, 31, 43, 45, 69, 137])
def test_faults_of_applications_are_told_from_those_of_hardware(code: int) -> None:
    """What a process did ends that process, and blames nobody else."""
    xid = classify(code)
    assert (xid.kind, xid.blames_application) == ("application", True)
    assert xid.action in {"restart_application", "none"}


@pytest.mark.parametrize(("code", "kind", "action"), [
    (48, "memory", "reset_gpu"), (62, "hardware", "reset_gpu"), (64, "memory", "reset_gpu"), (74, "link", "inspect"),
    (8, "engine", "restart_application"), (32, "bus", "restart_application"), (68, "engine", "restart_application"),
    (79, "bus", "reboot_node"), (94, "memory", "restart_application"), (95, "memory", "reset_gpu"),
    (119, "driver", "reset_gpu"), (120, "driver", "reset_gpu"), (63, "informational", "none"),
    (92, "informational", "none"), (154, "informational", "none"),
])  # fmt: skip
def test_each_class_has_its_action(code: int, kind: str, action: str) -> None:
    """Hardware, memory, links and the bus are told apart, and so is what to do about them."""
    xid = classify(code)
    assert (xid.kind, xid.action, xid.blames_application) == (kind, action, False)


@pytest.mark.parametrize("code", [0, 14, 999, 99_999])
def test_an_xid_that_is_not_in_the_table_is_unknown(code: int) -> None:
    """Nothing is guessed about an XID that nobody wrote down: it blames nobody."""
    xid = classify(code)
    assert (xid.code, xid.kind, xid.severity, xid.blames_application) == (code, "unknown", "warning", False)


def test_every_entry_is_complete_and_names_its_source() -> None:
    """Codes are unique and every entry has a class, a severity, an action, words and where it was taken from."""
    assert len(XIDS) == len({xid.code for xid in XIDS.values()})
    for xid in XIDS.values():
        assert xid.kind in CLASSES[:-1]
        assert xid.severity in {"info", "warning", "error"}
        assert xid.action in {"none", "restart_application", "reset_gpu", "reboot_node", "inspect"}
        assert xid.words
        assert xid.source in {CATALOGUE, HEADER}
        assert xid.mnemonic


def test_numbered_engines_are_counted_right() -> None:
    """Runs of engines have runs of codes, as the catalogue lists them."""
    codes = {xid.mnemonic: xid.code for xid in XIDS.values()}
    assert {name: codes[f"{name}_ERROR"] for name in ("CE0", "CE2", "CE3", "CE5", "CE6", "CE8", "CE9", "CE10", "CE19")} == {
        "CE0": 39, "CE2": 41, "CE3": 70, "CE5": 72, "CE6": 75, "CE8": 77, "CE9": 85, "CE10": 126, "CE19": 135,
    }  # fmt: skip
    assert [codes[f"NVDEC{number}_ERROR"] for number in range(8)] == [68, 83, 84, 88, 89, 96, 97, 98]
    assert [codes[f"NVJPG{number}_ERROR"] for number in range(8)] == [82, *range(99, 106)]
    assert [codes[f"OFA{number}_ERROR"] for number in range(2)] == [86, 139]


@pytest.mark.parametrize(("health", "fault"), [
    (BoardHealth(), ""),
    (BoardHealth(recovery_action=0, row_remap_failure=0), ""),
    (BoardHealth(recovery_action=1), "reset_required"),
    (BoardHealth(recovery_action=2), "reboot_required"),
    (BoardHealth(recovery_action=3), "drain_required"),
    (BoardHealth(recovery_action=4), "reset_required"),
    (BoardHealth(recovery_action=5), "imex_recovery_required"),
    (BoardHealth(recovery_action=77), "recovery_required"),
    (BoardHealth(row_remap_failure=1), "row_remap_failure"),
    (BoardHealth(recovery_action=2, row_remap_failure=1), "reboot_required"),
    (BoardHealth(row_remap_pending=1, ecc_uncorrected_volatile=9, throttle_reasons=0x40), ""),
])  # fmt: skip
def test_a_condition_is_a_fault_only_where_the_board_cannot_be_used(health: BoardHealth, fault: str) -> None:
    """What the driver wants done, and memory that cannot be repaired; errors that were dealt with are none."""
    assert fault_of(health) == fault


def test_a_site_chooses_what_makes_a_board_unavailable() -> None:
    """A condition that the settings leave out is no fault; the others still are."""
    chosen = [name for name in UNAVAILABLE_ON if name not in {"drain_p2p", "row_remap_failure"}]
    assert fault_of(BoardHealth(recovery_action=3, row_remap_failure=1), chosen) == ""
    assert fault_of(BoardHealth(recovery_action=1, row_remap_failure=1), chosen) == "reset_required"


@pytest.mark.parametrize(("bits", "reason"), [
    (None, ""), (0x0, ""), (0x1, ""), (0x4, ""), (0x10, ""), (0x100, ""),
    (0x8, "throttled"), (0x20, "throttled"), (0x40, "throttled"), (0x80, "throttled"), (0x45, "throttled"),
])  # fmt: skip
def test_only_heat_and_lack_of_power_explain_idleness(bits: int | None, reason: str) -> None:
    """An idle bit, a power cap that somebody chose or a clock setting are no trouble of the hardware."""
    assert idle_reason(BoardReading(gpu(), health=BoardHealth(throttle_reasons=bits))) == reason
    assert idle_reason(BoardReading(gpu())) == ""


def test_reasons_have_names() -> None:
    """Each bit has its name; one that nobody knows yet is shown as it is."""
    assert reason_names(0x0) == ()
    assert reason_names(0x141) == ("idle", "hardware_thermal", "display_clocks")
    assert reason_names(0x1000_0004) == ("software_power_cap", "0x10000000")
