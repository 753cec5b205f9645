"""Slurm's own output of real clusters is read by the agent's parsers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agent.holders.slurm.hostlist import expand
from agent.holders.slurm.squeue_json import parse_squeue

_ROOT = Path(__file__).parents[2]
_DATA = Path(os.environ.get("GPULEDGER_REALITY_DATA", _ROOT.parent / "shared" / "data"))


def real(name: str) -> bytes:
    path = _DATA / name
    if not path.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{path} is missing: set GPULEDGER_REALITY_DATA")
        pytest.skip(f"no real data at {path}: set GPULEDGER_REALITY_DATA")
    return path.read_bytes()


def test_every_running_job_of_a_real_queue_is_found_on_its_nodes() -> None:
    """`squeue --json` of 21.08: on each node the jobs that run there, with their user, account and partition."""
    content = real("slurm_json_rivos/squeue_out.json")
    running = [job for job in json.loads(content)["jobs"] if job["job_state"] == "RUNNING"]
    assert running
    for job in running:
        for node in expand(job["nodes"]):
            facts = parse_squeue(content, node)[str(job["job_id"])].facts
            assert (facts.user, facts.account, facts.partition) == (job["user_name"], job["account"], job["partition"])
            assert (facts.uid, facts.gpus) == (job["user_id"], ())


def test_hostlists_of_a_real_cluster_count_its_nodes() -> None:
    """The ranges of a partition of 3,140 nodes and of one of 1,469 expand to as many names as Slurm says."""
    lines = real("slurm_gcm_meta/sample-scontrol-output.txt").decode().splitlines()
    checked = 0
    for line in lines:
        fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
        assert len(expand(fields["Nodes"])) == int(fields["TotalNodes"])
        checked += 1
    assert checked == 3
