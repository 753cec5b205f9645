"""What `doctor` finds: each check speaks for itself, and each failure names the next step."""

from __future__ import annotations

import json
import socket
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from gpuledger.cli import checks
from gpuledger.cli.main import main


def test_a_collector_that_is_down_fails_the_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3, one JSON document, and the failed check says how to start a collector."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        code = main(["doctor", "--url", url, "--spool", str(tmp_path), "--format", "json"])
    answer = json.loads(capsys.readouterr().out)
    [collector] = [row for row in answer["rows"] if row["check"] == "collector"]
    assert (code, answer["ok"], collector["status"]) == (3, False, "failed")
    assert "gpuledger collector" in collector["next_step"]


def test_every_failed_or_absent_thing_has_a_next_step(tmp_path: Path) -> None:
    """No finding leaves the reader alone."""
    for finding in checks.machine_checks("http://127.0.0.1:9", tmp_path):
        assert finding.status == "ok" or finding.next_step, finding


@pytest.mark.parametrize(("off_s", "status"), [(0, "ok"), (30, "failed"), (-30, "failed")])
def test_clocks_that_differ_by_more_than_seconds_fail(off_s: int, status: str) -> None:
    """Whichever way they differ: batches from the future are refused, and late ones fall into the wrong hour."""
    now = time.time()
    assert checks.check_clock(formatdate(now + off_s, usegmt=True), now, now).status == status


def test_a_process_table_without_the_host_is_noticed(tmp_path: Path) -> None:
    """A pod that sees only itself is told to set hostPID."""
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "comm").write_text("python3\n")
    (tmp_path / "1" / "cgroup").write_text("0::/\n")
    (tmp_path / "self").symlink_to("1")
    finding = checks.check_processes(tmp_path)
    assert (finding.status, finding.next_step) == ("warning", "in a pod, set hostPID: true")
    assert checks.check_processes(tmp_path / "missing").status == "failed"


def test_pod_logs_are_counted_or_absent(tmp_path: Path) -> None:
    """A node without a kubelet is not a fault."""
    assert checks.check_pod_logs(tmp_path / "none").status == "absent"
    (tmp_path / "default_web-0_1234").mkdir()
    assert checks.check_pod_logs(tmp_path).found.startswith("1 pods")


def test_slurm_is_found_on_the_path(tmp_path: Path) -> None:
    """Its command is what counts."""
    assert checks.check_slurm(str(tmp_path)).status == "absent"
    (tmp_path / "scontrol").write_text("#!/bin/sh\n")
    (tmp_path / "scontrol").chmod(0o755)
    assert checks.check_slurm(str(tmp_path)).status == "ok"


def test_the_spool_folder_need_not_exist_yet(tmp_path: Path) -> None:
    """The disk that it will be on is what is measured."""
    assert checks.check_spool(tmp_path / "a" / "b").found.endswith(f"free in {tmp_path}")
