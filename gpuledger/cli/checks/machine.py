"""Every check on this machine, in the order in which a node is set up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gpuledger.cli.checks.api_server import ApiServer, api_url, check_api_server
from gpuledger.cli.checks.containers import check_containers
from gpuledger.cli.checks.delivery import check_collector, check_token
from gpuledger.cli.checks.driver import check_driver
from gpuledger.cli.checks.finding import Finding
from gpuledger.cli.checks.install import check_extras, check_node_name
from gpuledger.cli.checks.kernel import check_cgroups, check_kernel_log
from gpuledger.cli.checks.kubelet import check_kubelet
from gpuledger.cli.checks.places import CONTAINER_PROGRAMS, Places
from gpuledger.cli.checks.processes import check_environments, check_host_processes
from gpuledger.cli.checks.slurm import check_slurm
from gpuledger.cli.checks.spool import check_spool
from gpuledger.cli.checks.surroundings import Surroundings, read_surroundings


class Machine(NamedTuple):
    """What is to be checked: what the agent's settings name, and what surrounds this process."""

    url: str
    spool: Path
    node: str = ""  # as the settings name it; empty: they do not
    host: str = ""
    library: Path | None = None
    token_file: Path | None = None
    places: Places = Places()
    around: Surroundings | None = None
    api: bool = True
    api_url: str = ""  # as the settings name it; empty: as a pod's environment does
    environ: Mapping[str, str] = os.environ


def machine_checks(machine: Machine) -> list[Finding]:
    """Return every check's finding."""
    places, around = machine.places, machine.around or read_surroundings()
    return [
        *check_extras(),
        check_node_name(machine.node, machine.host, in_pod=around.in_pod),
        *check_driver(machine.library, places, around),
        check_host_processes(places.proc, around),
        check_environments(places.proc, around),
        *check_kubelet(places, around),
        *check_api_server(_api_server(machine)),
        *check_slurm(machine.environ.get("PATH", ""), places.slurm_holders),
        check_containers({name: getattr(places, name) for name in CONTAINER_PROGRAMS}, around),
        check_cgroups(places.cgroup, around),
        check_kernel_log(places.kernel_log, around),
        *check_collector(machine.url),
        check_token(machine.token_file),
        check_spool(machine.spool, around),
    ]


def _api_server(machine: Machine) -> ApiServer | None:
    url = (machine.api_url or api_url(machine.environ)) if machine.api else ""
    return ApiServer(url, machine.places.api_token, machine.places.api_authority) if url else None
