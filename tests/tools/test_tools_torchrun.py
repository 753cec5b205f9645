"""torchrun: its ranks are one group, and who pays is found through them; a launcher is no workload of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.real import Meeting, free_port, identify, running, tool


@pytest.mark.skipif(
    not tool("torchrun").exists(), reason="no PyTorch: make torch-cpu, with its wheel in PIP_FIND_LINKS"
)
def test_the_ranks_of_a_launch_are_one_group(tmp_path: Path, meet: Meeting) -> None:
    """Each rank shows the id of its launch and its place in it; the claim travels to all of them by inheritance."""
    (tmp_path / "train.py").write_text(meet.code())
    endpoint = ("--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port()}", "--rdzv-id", "job42")
    command = (tool("torchrun"), "--nproc-per-node", "2", *endpoint, "train.py")
    with running(*command, cwd=tmp_path, GPULEDGER_TEAM="nlp", OMP_NUM_THREADS="1") as own:
        ranks = [identify(meet.wait(own).pid) for _ in range(2)]
    for found in ranks:
        assert found.workload is None
        launch = found.context[0]
        assert (launch.system, launch.scope, launch.id, launch.name) == ("torchrun", "ranks", "job42", "job42: 2 ranks")
        assert (found.team_claim, found.team_source) == ("nlp", "env:GPULEDGER_TEAM")
