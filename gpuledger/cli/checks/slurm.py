"""Slurm: its commands, and the folder in which our prolog and epilog say which job was given which GPUs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from gpuledger.cli.checks.finding import Finding

_GRANTS_LOST: Final = "grants: which job was given which GPU, jobs without a process on it, jobs of a few seconds"
_NO_SLURM: Final = "fine, unless this is a Slurm node"


def check_slurm(path: str, holders: Path) -> list[Finding]:
    """Return what is here of Slurm."""
    scontrol = shutil.which("scontrol", path=path)
    command = (
        Finding("Slurm", "ok", scontrol)
        if scontrol
        else Finding("Slurm", "absent", "no scontrol on PATH", f"{_NO_SLURM}; in a pod only the folder counts")
    )
    return [command, check_holders(holders, slurm_here=scontrol is not None)]


def check_holders(folder: Path, *, slurm_here: bool) -> Finding:
    """Return whether the agent can read what the prolog writes, and take away what it has read."""
    name = "Slurm holders"
    try:
        names = [entry.name for entry in folder.iterdir()]
    except FileNotFoundError:
        if slurm_here:
            step = "install prolog and epilog of deploy/slurm on this node"
            return Finding(name, "warning", f"{folder} is not here", step, _GRANTS_LOST)
        return Finding(name, "absent", f"{folder} is not here", _NO_SLURM)
    except OSError as error:
        return Finding(name, "failed", f"{folder}: {error.strerror}", "run the agent as root", _GRANTS_LOST)
    if not os.access(folder, os.W_OK):
        step = "let the agent write there (no read-only mount): it deletes the notes of ended jobs once it has them"
        return Finding(name, "failed", f"{folder} cannot be written", step, "notes of ended jobs pile up")
    jobs = sum(entry.endswith(".job") for entry in names)
    return Finding(name, "ok", f"{jobs:,} running jobs in {folder}")
