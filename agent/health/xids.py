"""The XIDs that matter, and what each of them means for whose fault it is and what to do.

The mnemonics are NVIDIA's own: from its XID catalogue, and from `nverror.h` of its open kernel modules. Classes follow
the catalogue's first resolution; where NVIDIA names several causes, the one that a healthy board shows most often.
"""

from __future__ import annotations

from typing import Final, NamedTuple

# Whose fault it is.
APPLICATION: Final = "application"  # what a process did: it ends, the board is as good as before
INFORMATIONAL: Final = "informational"  # the driver tells what it did, or what comes next
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

CLASSES: Final = (APPLICATION, INFORMATIONAL, DRIVER, MEMORY, LINK, BUS, HARDWARE, UNKNOWN)


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


_TABLE: Final = (
    Xid(8, APPLICATION, "warning", RESTART_APPLICATION, "a channel timed out", "FIFO_ERROR_IDLE_TIMEOUT"),
    Xid(13, APPLICATION, "warning", RESTART_APPLICATION, "exception in the graphics engine", "GR_EXCEPTION", HEADER),
    Xid(
        31, APPLICATION, "warning", RESTART_APPLICATION, "access to memory that is not mapped", "FIFO_ERROR_MMU_ERR_FLT"
    ),
    Xid(32, APPLICATION, "warning", RESTART_APPLICATION, "invalid or corrupted push buffer", "PBDMA_ERROR", HEADER),
    Xid(37, DRIVER, "warning", RESTART_APPLICATION, "the driver failed at a context switch"),
    Xid(38, DRIVER, "error", INSPECT, "the driver's firmware failed"),
    Xid(39, APPLICATION, "warning", RESTART_APPLICATION, "exception in copy engine 0", "CE0_ERROR", HEADER),
    Xid(40, APPLICATION, "warning", RESTART_APPLICATION, "exception in copy engine 1", "CE1_ERROR", HEADER),
    Xid(41, APPLICATION, "warning", RESTART_APPLICATION, "exception in copy engine 2", "CE2_ERROR", HEADER),
    Xid(43, APPLICATION, "warning", RESTART_APPLICATION, "a channel was reset", "RESETCHANNEL_VERIF_ERROR", HEADER),
    Xid(44, DRIVER, "error", RESET_GPU, "fault during a context switch", "GR_FAULT_DURING_CTXSW", HEADER),
    Xid(45, APPLICATION, "warning", NOTHING, "channels removed after an earlier fault, or after a process was killed"
        , "PREEMPTIVE_REMOVAL", HEADER),
    Xid(46, HARDWARE, "error", RESET_GPU, "the GPU stopped processing"),
    Xid(48, MEMORY, "error", RESET_GPU, "memory error that cannot be corrected", "GPU_ECC_DBE", HEADER),
    Xid(54, HARDWARE, "error", INSPECT, "auxiliary power is not connected"),
    Xid(61, DRIVER, "warning", INSPECT, "the power controller hit a breakpoint", "PMU_BREAKPOINT", HEADER),
    Xid(62, HARDWARE, "error", RESET_GPU, "the power controller halted", "PMU_HALT_ERROR", HEADER),
    Xid(63, INFORMATIONAL, "info", NOTHING, "a page is retired, or a row remapped", "DRAM_RETIREMENT_EVENT", HEADER),
    Xid(64, MEMORY, "error", RESET_GPU, "retiring a page or remapping a row failed", "DRAM_RETIREMENT_FAILURE", HEADER),
    Xid(66, DRIVER, "warning", RESTART_APPLICATION, "illegal access by the driver"),
    Xid(68, APPLICATION, "warning", RESTART_APPLICATION, "exception in video decoder 0", "NVDEC0_ERROR", HEADER),
    Xid(69, APPLICATION, "warning", RESTART_APPLICATION, "invalid class or method", "GR_CLASS_ERROR", HEADER),
    Xid(70, APPLICATION, "warning", RESTART_APPLICATION, "exception in copy engine 3", "CE3_ERROR", HEADER),
    Xid(71, APPLICATION, "warning", RESTART_APPLICATION, "exception in copy engine 4", "CE4_ERROR", HEADER),
    Xid(72, APPLICATION, "warning", RESTART_APPLICATION, "exception in copy engine 5", "CE5_ERROR", HEADER),
    Xid(74, LINK, "error", INSPECT, "NVLink error", "NVLINK_ERROR", HEADER),
    Xid(78, DRIVER, "error", INSPECT, "a vGPU could not be started", "VGPU_START_ERROR", HEADER),
    Xid(79, BUS, "error", REBOOT_NODE, "the GPU has fallen off the bus", "GPU_HAS_FALLEN_OFF_THE_BUS", HEADER),
    Xid(80, BUS, "error", RESET_GPU, "data to the GPU arrived corrupted", "PBDMA_PUSHBUFFER_CRC_MISMATCH", HEADER),
    Xid(92, INFORMATIONAL, "info", NOTHING, "many correctable memory errors", "EXCESSIVE_SBE_INTERRUPTS", HEADER),
    Xid(93, INFORMATIONAL, "info", NOTHING, "the InfoROM was written often", "INFOROM_ERASE_LIMIT_EXCEEDED", HEADER),
    Xid(94, MEMORY, "warning", RESTART_APPLICATION, "memory error that only the process it hit has to bear",
        "CONTAINED_ERROR", HEADER),
    Xid(95, MEMORY, "error", RESET_GPU, "memory error that was not contained", "UNCONTAINED_ERROR", HEADER),
    Xid(109, DRIVER, "warning", RESTART_APPLICATION, "a context switch timed out"),
    Xid(110, HARDWARE, "error", RESET_GPU, "security fault"),
    Xid(119, DRIVER, "error", RESET_GPU, "the GPU's system processor did not answer", "GSP_RPC_TIMEOUT", HEADER),
    Xid(120, DRIVER, "error", RESET_GPU, "the GPU's system processor failed", "GSP_ERROR", HEADER),
    Xid(121, LINK, "warning", INSPECT, "error on the link between the chips", "C2C_ERROR", HEADER),
    Xid(122, HARDWARE, "warning", INSPECT, "reading the board's flash failed", "SPI_PMU_RPC_READ_FAIL", HEADER),
    Xid(123, HARDWARE, "warning", RESET_GPU, "writing the board's flash failed", "SPI_PMU_RPC_WRITE_FAIL", HEADER),
    Xid(124, HARDWARE, "warning", INSPECT, "erasing the board's flash failed", "SPI_PMU_RPC_ERASE_FAIL", HEADER),
    Xid(125, HARDWARE, "warning", INSPECT, "the InfoROM's file system is damaged", "INFOROM_FS_ERROR", HEADER),
    Xid(136, LINK, "error", INSPECT, "a link could not be trained"),
    Xid(137, LINK, "warning", RESTART_APPLICATION, "a peer's memory was accessed without permission over NVLink"),
    Xid(140, MEMORY, "error", RESET_GPU, "memory error that was not recovered from"),
    Xid(143, HARDWARE, "error", RESET_GPU, "the GPU could not be initialised"),
    *(
        Xid(code, LINK, "error", INSPECT, f"NVLink error in {unit}")
        for code, unit in (
            (144, "the switch adapter (SAW)"),
            (145, "the receiver (RLW)"),
            (146, "the transmitter (TLW)"),
            (147, "the crossbar (TREX)"),
            (148, "the port wrapper (NVLPW)"),
            (149, "the network interface (NETIR)"),
            (150, "the management engine (MSE)"),
        )
    ),
    Xid(154, INFORMATIONAL, "warning", NOTHING, "the driver wants another recovery action than before"),
    Xid(155, LINK, "error", INSPECT, "NVLink was taken down by software"),
    Xid(156, INFORMATIONAL, "info", NOTHING, "a resource is retired"),
    Xid(157, HARDWARE, "error", INSPECT, "retiring a resource failed"),
    Xid(158, HARDWARE, "error", RESET_GPU, "the GPU timed out for good"),
    Xid(160, INFORMATIONAL, "info", NOTHING, "a memory channel is retired"),
    Xid(161, MEMORY, "error", INSPECT, "retiring a memory channel failed"),
    Xid(171, MEMORY, "info", NOTHING, "a DRAM error that cannot be corrected; told with another XID"),
    Xid(172, MEMORY, "info", NOTHING, "an SRAM error that cannot be corrected; told with another XID"),
)  # fmt: skip

XIDS: Final = {xid.code: xid for xid in _TABLE}


def classify(code: int) -> Xid:
    """Return what is known about an XID; one that is not in the table is of class `unknown`."""
    return XIDS.get(code) or Xid(code, UNKNOWN, "warning", INSPECT, "not in the table of known XIDs", "", "")
