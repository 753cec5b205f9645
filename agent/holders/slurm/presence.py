"""Whether Slurm is to be looked for on this node, told without loading what looks for it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from agent.config import SlurmSection

CONF_FOLDERS: Final = (  # configless nodes keep a copy where slurmd spools
    Path("/etc/slurm"),
    Path("/etc/slurm-llnl"),
    Path("/run/slurm/conf"),
    Path("/var/spool/slurmd/conf-cache"),
    Path("/var/spool/slurm/slurmd/conf-cache"),
    Path("/var/lib/slurm/slurmd/conf-cache"),
)


def is_wanted(slurm: SlurmSection) -> bool:
    """Tell whether to look for Slurm: as settings say, else where its daemon or its configuration is installed."""
    if slurm.enabled is not None:
        return slurm.enabled
    if slurm.gres_conf or slurm.gpu_order or slurm.holders.exists():
        return True
    return any((folder / "gres.conf").exists() for folder in CONF_FOLDERS) or shutil.which("slurmd") is not None
