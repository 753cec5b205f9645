"""The reference page of health, docs/reference/health.md, made from the tables themselves: run this module."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from agent.health.changes import COUNTERS, FLAGS
from agent.health.conditions import RECOVERY_ACTIONS, ROW_REMAP_FAILURE
from agent.health.throttling import REASONS, TROUBLE
from agent.health.xids import CLASSES, XIDS
from agent.samplers.table import EVERY_READING, METERING_SLOW, SLOW

_HEAD = """# Health

This page is made from the tables in `agent/health` and `agent/samplers`; a test holds it in step.

What is wrong with a GPU shows in three ways: as **events** (kept in the ledger), as **time** in the state `unavailable`
with the fault as its reason, and as **metrics**. A question that the driver does not answer is unknown: it is no fault,
and it ends none.
"""

_FAULTS = """
## What makes a device unavailable

| reason | when |
|---|---|
| `gpu_lost` | the driver answers that the GPU is lost, or does not hand it out any more |
| `reset_required` | the driver answers so to a question about the GPU, or wants a reset |
"""

_FAULTS_END = """
An instance is as available as its board. `[health] unavailable_on` leaves conditions out. A board that answers nothing
that makes sense is `unreadable`: its time is `unobserved`. **An XID alone makes no device unavailable**: what a process
did is over when the process is, and what became of the board the driver says by the conditions above.
"""

_CLASSES = {
    "application": "what a process did; the board is as good as before, and nobody is credited",
    "engine": "an engine of the board stopped for one process: the fault of either; the board can be used",
    "informational": "the driver tells what it did, or what comes next",
    "driver": "the driver's or the firmware's software",
    "memory": "the board's memory",
    "link": "NVLink or chip-to-chip links",
    "bus": "PCIe",
    "hardware": "anything else of the board",
    "unknown": "not in the table: nothing is guessed, the event is a warning",
}

_XIDS = """
## XIDs

Heard from the driver (its events wait in a queue of the kernel, so nothing is lost between two readings) and from the
kernel's log (`NVRM: Xid (PCI:...)`), which has the process, the exact instant, and what was said while the driver was
gone. One XID is one event, whichever tells first: the same board and code within 60 s. Many lines of one process about
one fault are one event with `lines`; of a storm 20 are kept, the last of which counts the rest (`more`). Only what the
kernel itself wrote is believed. The event's details have `class`, `action`, and where known `pid`, `process`,
`gpu_instance`, `compute_instance`, `log`. Mnemonics (without `ROBUST_CHANNEL_`) and actions are those of
[NVIDIA's XID catalogue](https://docs.nvidia.com/deploy/xid-errors/), for what it calls unused those of `nverror.h` in
NVIDIA's open kernel modules.

| class | means |
|---|---|
"""

_XID_TABLE = """
| XID | class | severity | action | means | source |
|---|---|---|---|---|---|
"""

_CHANGES = """
## Changes

Each is an event with `from` and `to`. A counter that goes down (the driver was loaded anew) begins anew without one.

| event | severity | figure | told |
|---|---|---|---|
"""

_OTHER_EVENTS = """
| other event | severity | when |
|---|---|---|
| `recovery_action` | error, info at its end | the driver wants another action than before |
| `throttling`, `throttling_ended` | warning, info | clocks are held down by heat or lack of power (below), with the \
nanoseconds by cause at the end; told at most every 10 minutes |
| `gpu_count_mismatch` | error, info at its end | `/proc/driver/nvidia/gpus` and the driver show different GPUs |
| `driver_version_mismatch` | error | the driver's library and kernel module are of different versions: every reading \
failed since then, with the next step in the log |
| `driver_version_changed` | info | another driver was loaded |
| `kernel_log_unavailable` | info | the kernel's log may not be read: XIDs come from the driver only |
"""

_THROTTLE = """
## Throttle reasons

Bits of `gpuledger`'s readings and NVML's. Those marked are trouble of the hardware: they are events, and where a held
device does no work meanwhile they are its reason (`throttled`).

| bit | name | trouble |
|---|---|---|
"""

_SAMPLERS = """
## Samplers

One family of telemetry each, with its own `gpuledger_sampler_success`; one that fails hides no other. The slow ones
(`[health] interval_s`, 60 s) are read in one call, and at once when the driver reports anything about the board.
Without an exporter only those marked run.

| sampler | pace | without an exporter |
|---|---|---|
"""

_SETTINGS = """
Beside these: `gpm` (performance counters of Hopper and newer: how much of a board or MIG instance worked), `accounting`
(the driver's record of processes that ended, where accounting mode is on), `kernel_log` and `driver_state`.

## Settings

```toml
[health]
interval_s = 60                            # pace of the slow samplers
kernel_log = "/dev/kmsg"                   # "": XIDs from the driver only. Needs CAP_SYSLOG where dmesg is restricted
driver_proc = "/proc/driver/nvidia"
accounting = true                          # false: leave the driver's record of ended processes alone
gpm = true                                 # false: leave performance counters alone; MIG has no activity then
unavailable_on = [{conditions}]
```
"""


def reference_page() -> str:
    """Return the page."""
    return "".join(
        [
            _HEAD,
            _FAULTS,
            *_fault_rows(),
            _FAULTS_END,
            _XIDS,
            *(f"| `{name}` | {_CLASSES[name]} |\n" for name in CLASSES),
            _XID_TABLE,
            *_xid_rows(),
            _CHANGES,
            *_change_rows(),
            _OTHER_EVENTS,
            _THROTTLE,
            *(f"| `{bit:#x}` | `{name}` | {'yes' if bit & TROUBLE else ''} |\n" for bit, name in REASONS.items()),
            _SAMPLERS,
            *_sampler_rows(),
            _SETTINGS.format(conditions=_conditions()),
        ]
    )


def _fault_rows() -> Iterator[str]:
    by_fault: dict[str, list[str]] = {}
    for action in RECOVERY_ACTIONS.values():
        if action.fault:
            by_fault.setdefault(action.fault, []).append(f"`{action.name}`")
    for fault, actions in by_fault.items():
        yield f"| `{fault}` | recovery action {', '.join(actions)} (NVML field 230) |\n"
    yield "| `recovery_required` | a recovery action that is newer than this agent |\n"
    yield f"| `{ROW_REMAP_FAILURE}` | a row of memory could not be remapped (NVML field 145) |\n"


def _xid_rows() -> Iterator[str]:
    for code, xid in sorted(XIDS.items()):
        source = f"`{xid.mnemonic}`, {xid.source}"
        yield f"| {code} | {xid.kind} | {xid.severity} | {xid.action} | {xid.words} | {source} |\n"


def _change_rows() -> Iterator[str]:
    for counter in COUNTERS:
        told = "at most hourly" if counter.again_us else "each time"
        yield f"| `{counter.kind}` | {counter.severity} | `{counter.field}`: {counter.words} | {told} |\n"
    for flag in FLAGS:
        yield f"| `{flag.kind}` | {flag.severity}, info at its end | `{flag.field}`: {flag.words} | each time |\n"


def _sampler_rows() -> Iterator[str]:
    for pace, samplers in (("each reading", EVERY_READING), ("slow", SLOW)):
        for sampler in samplers:
            yield f"| `{sampler.name}` | {pace} | {'slow' if sampler in METERING_SLOW else ''} |\n"


def _conditions() -> str:
    names = [action.name for action in RECOVERY_ACTIONS.values() if action.fault]
    return ", ".join(f'"{name}"' for name in (*names, ROW_REMAP_FAILURE))


if __name__ == "__main__":
    sys.stdout.write(reference_page())
