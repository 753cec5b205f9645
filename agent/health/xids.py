"""The XIDs that matter, and what each of them means: whose fault it is, and what to do.

Mnemonics (without `ROBUST_CHANNEL_`) and actions are those of NVIDIA's XID catalogue for Ampere and newer
(docs.nvidia.com/deploy/xid-errors), or, for what it calls unused there, of `nverror.h` in NVIDIA's open kernel modules.
An action is the catalogue's immediate one. A process is blamed only where the catalogue blames it: where it says no
more than that the application must be restarted, the class is `engine`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

# Whose fault it is.
APPLICATION: Final = "application"  # what a process did: it ends, the board is as good as before
INFORMATIONAL: Final = "informational"  # the driver tells what it did, or what comes next
ENGINE: Final = "engine"  # an engine of the board stopped for one process: the fault of either
DRIVER: Final = "driver"  # the driver's or the firmware's software
MEMORY: Final = "memory"  # the board's memory
LINK: Final = "link"  # NVLink or chip-to-chip links
BUS: Final = "bus"  # PCIe
HARDWARE: Final = "hardware"  # anything else of the board
UNKNOWN: Final = "unknown"  # not in this table

# What to do.
NOTHING: Final = "none"
RESTART_APPLICATION: Final = "restart_application"
RESET_GPU: Final = "reset_gpu"
REBOOT_NODE: Final = "reboot_node"
INSPECT: Final = "inspect"

CATALOGUE: Final = "NVIDIA XID catalogue"
HEADER: Final = "NVIDIA nverror.h"

CLASSES: Final = (APPLICATION, ENGINE, INFORMATIONAL, DRIVER, MEMORY, LINK, BUS, HARDWARE, UNKNOWN)


class Xid(NamedTuple):
    """One entry of the table."""

    code: int
    kind: str  # one of CLASSES
    severity: str  # info, warning, error
    action: str
    words: str
    mnemonic: str = ""
    source: str = CATALOGUE

    @property
    def blames_application(self) -> bool:
        """Whether a process is to blame, so that nobody is credited for the time it cost."""
        return self.kind == APPLICATION


def _engine_errors(words: str, mnemonic: str, firsts: Mapping[int, int], counts: Sequence[int]) -> Iterator[Xid]:
    """Yield the XIDs of numbered engines: `firsts` has the code of the first engine of each run."""
    for (number, code), count in zip(firsts.items(), counts, strict=True):
        for step in range(count):
            named = f"{mnemonic}{number + step}_ERROR"
            yield Xid(code + step, ENGINE, "warning", RESTART_APPLICATION, f"error in {words} {number + step}", named)


_TABLE: Final = (
    Xid(8, ENGINE, "warning", RESTART_APPLICATION, "a channel stopped and timed out", "FIFO_ERROR_IDLE_TIMEOUT"),
    Xid(11, APPLICATION, "warning", RESTART_APPLICATION, "invalid push buffer", "GR_ERROR_MISSING_HW"),
    Xid(13, APPLICATION, "warning", RESTART_APPLICATION, "illegal access or instruction in a kernel", "GR_EXCEPTION"),
    Xid(25, APPLICATION, "warning", RESTART_APPLICATION, "illegal push buffer", "GR_ILLEGAL_NOTIFY"),
    Xid(31, APPLICATION, "warning", RESTART_APPLICATION, "access to memory not mapped", "FIFO_ERROR_MMU_ERR_FLT"),
    Xid(32, BUS, "warning", RESTART_APPLICATION, "the stream of commands arrived corrupted", "PBDMA_ERROR"),
    Xid(37, DRIVER, "warning", NOTHING, "unknown method of the firmware", "FECS_ERR_UNIMP_FIRMWARE_METHOD"),
    Xid(38, DRIVER, "warning", NOTHING, "the driver's firmware timed out", "FECS_ERR_WATCHDOG_TIMEOUT"),
    Xid(43, APPLICATION, "warning", NOTHING, "a process failed and was stopped", "RESETCHANNEL_VERIF_ERROR"),
    Xid(44, DRIVER, "warning", NOTHING, "fault during a context switch", "GR_FAULT_DURING_CTXSW"),
    Xid(45, APPLICATION, "warning", NOTHING, "a process was aborted, or cleared away after another XID",
        "PREEMPTIVE_REMOVAL"),
    Xid(46, HARDWARE, "error", RESET_GPU, "the GPU stopped processing", "GPU_TIMEOUT_ERROR"),
    Xid(48, MEMORY, "error", RESET_GPU, "memory error that cannot be corrected", "GPU_ECC_DBE"),
    Xid(54, HARDWARE, "error", INSPECT, "auxiliary power is not connected", "SILENT_RUNNING_PWR_REDUCED_CLOCKING"),
    Xid(60, ENGINE, "warning", RESTART_APPLICATION, "exception in the video processor", "SEC2_ERROR"),
    Xid(61, DRIVER, "warning", INSPECT, "the power controller hit a breakpoint", "PMU_BREAKPOINT", HEADER),
    Xid(62, HARDWARE, "error", RESET_GPU, "the power controller halted", "PMU_HALT_ERROR"),
    Xid(63, INFORMATIONAL, "info", NOTHING, "a page is retired, or a row remapped", "INFOROM_DRAM_RETIREMENT_EVENT"),
    Xid(64, MEMORY, "error", RESET_GPU, "a page could not be retired, or a row not remapped",
        "INFOROM_DRAM_RETIREMENT_FAILURE"),
    Xid(66, DRIVER, "warning", NOTHING, "illegal access by the driver", "FECS_ERR_REG_ACCESS_VIOLATION"),
    Xid(67, DRIVER, "warning", NOTHING, "illegal access by the driver", "FECS_ERR_VERIF_VIOLATION"),
    Xid(69, APPLICATION, "warning", RESTART_APPLICATION, "invalid class or method", "GR_CLASS_ERROR"),
    Xid(74, LINK, "error", INSPECT, "NVLink error, here or at the other end", "NVLINK_ERROR"),
    Xid(78, DRIVER, "error", INSPECT, "a vGPU could not be started: update driver or firmware", "VGPU_START_ERROR"),
    Xid(79, BUS, "error", REBOOT_NODE, "the GPU has fallen off the bus", "GPU_HAS_FALLEN_OFF_THE_BUS"),
    Xid(80, APPLICATION, "warning", RESTART_APPLICATION, "corrupted data was sent", "PBDMA_PUSHBUFFER_CRC_MISMATCH"),
    Xid(92, INFORMATIONAL, "info", NOTHING, "many memory errors that were corrected", "EXCESSIVE_SBE_INTERRUPTS"),
    Xid(93, INFORMATIONAL, "info", NOTHING, "the InfoROM may not be written so often", "INFOROM_ERASE_LIMIT_EXCEEDED"),
    Xid(94, MEMORY, "warning", RESTART_APPLICATION, "memory error that struck one process only", "CONTAINED_ERROR"),
    Xid(95, MEMORY, "error", RESET_GPU, "memory error that may have struck every process", "UNCONTAINED_ERROR"),
    Xid(106, INFORMATIONAL, "info", NOTHING, "a test message", "SMBPBI_TEST_MESSAGE"),
    Xid(107, INFORMATIONAL, "info", NOTHING, "a silent test message", "SMBPBI_TEST_MESSAGE_SILENT"),
    Xid(109, HARDWARE, "error", RESET_GPU, "a context switch timed out", "CTXSW_TIMEOUT_ERROR"),
    Xid(110, HARDWARE, "error", RESET_GPU, "security fault", "SEC_FAULT_ERROR"),
    Xid(119, DRIVER, "error", RESET_GPU, "the GPU's system processor did not answer", "GSP_RPC_TIMEOUT"),
    Xid(120, DRIVER, "error", RESET_GPU, "the GPU's system processor failed", "GSP_ERROR"),
    Xid(121, LINK, "info", NOTHING, "errors between the chips that were corrected", "C2C_ERROR"),
    Xid(122, HARDWARE, "warning", INSPECT, "reading the board's flash failed", "SPI_PMU_RPC_READ_FAIL", HEADER),
    Xid(123, HARDWARE, "warning", INSPECT, "writing the board's flash failed", "SPI_PMU_RPC_WRITE_FAIL", HEADER),
    Xid(124, HARDWARE, "warning", INSPECT, "erasing the board's flash failed", "SPI_PMU_RPC_ERASE_FAIL", HEADER),
    Xid(125, HARDWARE, "warning", INSPECT, "the InfoROM's file system is damaged", "INFOROM_FS_ERROR", HEADER),
    Xid(136, LINK, "error", RESET_GPU, "a link could not be trained", "ALI_TRAINING_FAIL"),
    Xid(137, APPLICATION, "warning", NOTHING, "illegal access to a peer over NVLink", "NVLINK_PRIV_ERR"),
    Xid(140, MEMORY, "error", RESET_GPU, "memory errors not dealt with", "UNRECOVERABLE_ECC_ERROR_ESCAPE"),
    Xid(141, DRIVER, "warning", NOTHING, "the fast path of CUDA failed", "FAST_PATH_ERROR"),
    Xid(142, ENGINE, "warning", INSPECT, "error in video encoder 3", "NVENC3_ERROR"),
    Xid(143, HARDWARE, "error", RESET_GPU, "the GPU could not be initialised", "GPU_INIT_ERROR"),
    Xid(151, HARDWARE, "error", REBOOT_NODE, "a key could not be changed", "KEY_ROTATION_ERROR"),
    Xid(154, INFORMATIONAL, "warning", NOTHING, "the driver wants another recovery action than before",
        "GPU_RECOVERY_ACTION_CHANGED"),
    Xid(155, LINK, "warning", RESET_GPU, "NVLink was taken down by software", "NVLINK_SW_DEFINED_ERROR"),
    Xid(156, INFORMATIONAL, "warning", RESET_GPU, "a resource is retired", "RESOURCE_RETIREMENT_EVENT"),
    Xid(157, HARDWARE, "warning", INSPECT, "no resource is left to retire", "RESOURCE_RETIREMENT_FAILURE"),
    Xid(158, HARDWARE, "error", RESET_GPU, "the GPU timed out for good", "GPU_FATAL_TIMEOUT"),
    Xid(159, LINK, "warning", INSPECT, "error of the link between the chips", "CHI_NON_DATA_ERROR"),
    Xid(160, INFORMATIONAL, "info", NOTHING, "a memory channel is retired", "CHANNEL_RETIREMENT_EVENT"),
    Xid(161, MEMORY, "warning", INSPECT, "a memory channel could not be retired", "CHANNEL_RETIREMENT_FAILURE"),
    Xid(162, INFORMATIONAL, "info", NOTHING, "power smoothing works again", "PSHC_REENGAGED"),
    Xid(163, INFORMATIONAL, "warning", NOTHING, "power smoothing is switched off", "PSHC_DISENGAGED"),
    Xid(164, HARDWARE, "warning", INSPECT, "power smoothing is nearly worn out", "PSHC_LOW_LIFETIME"),
    Xid(165, HARDWARE, "warning", INSPECT, "power smoothing is worn out", "PSHC_ZERO_LIFETIME"),
    Xid(166, LINK, "warning", INSPECT, "encrypted traffic before its link was ready", "NVLINK_SECURE_CRYPTO_ERR"),
    Xid(167, BUS, "error", INSPECT, "PCIe timed out for good", "PCIE_FATAL_TIMEOUT"),
    Xid(168, MEMORY, "error", INSPECT, "errors in the protected region of memory", "REDUCED_GPU_MEMORY_CAPACITY"),
    Xid(169, HARDWARE, "error", INSPECT, "the security processor halted", "SEC2_HALT_ERROR"),
    Xid(170, LINK, "warning", INSPECT, "interrupt of a secured link", "NVLINK_SECURE_OTHER"),
    Xid(171, MEMORY, "info", NOTHING, "in DRAM: says more about an XID 48", "UNCORRECTABLE_DRAM_ERROR"),
    Xid(172, MEMORY, "info", NOTHING, "in SRAM: says more about an XID 48", "UNCORRECTABLE_SRAM_ERROR"),
    *_engine_errors("copy engine", "CE", {0: 39, 3: 70, 6: 75, 9: 85, 10: 126}, (3, 3, 3, 1, 10)),
    *_engine_errors("video decoder", "NVDEC", {0: 68, 1: 83, 3: 88, 5: 96}, (1, 2, 2, 3)),
    *_engine_errors("JPEG engine", "NVJPG", {0: 82, 1: 99}, (1, 7)),
    *_engine_errors("optical-flow engine", "OFA", {0: 86, 1: 139}, (1, 1)),
    *(
        Xid(code, LINK, "error", INSPECT, f"NVLink error in {unit}", f"NVLINK_{mnemonic}_ERROR")
        for code, unit, mnemonic in (
            (144, "the adapter to the memory (SAW)", "SAW"),
            (145, "the receiver (RLW)", "RLW"),
            (146, "the transmitter (TLW)", "TLW"),
            (147, "the crossbar (TREX)", "TREX"),
            (148, "the port's control (NVLPW)", "NVLPW_CTRL"),
            (149, "the network interface (NETIR)", "NETIR"),
            (150, "the management engine (MSE)", "MSE"),
        )
    ),
)  # fmt: skip

XIDS: Final = {xid.code: xid for xid in _TABLE}


def classify(code: int) -> Xid:
    """Return what is known about an XID; one that is not in the table is of class `unknown`."""
    return XIDS.get(code) or Xid(code, UNKNOWN, "warning", INSPECT, "not in the table of known XIDs", "", "")
