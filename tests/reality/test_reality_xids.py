"""Lines of real kernel logs: every one of them is understood."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from agent.health.kernel_log import parse_xid_line
from agent.health.xids import classify

_ROOT = Path(os.environ.get("GPULEDGER_REALITY_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))


def _lines() -> list[str]:
    path = _ROOT / "gpu_xid_lines" / "xid_lines.txt"
    if not path.exists():
        assert not os.environ.get("CI"), f"CI must have the recorded data: {path} is missing"
        pytest.skip(f"the recorded data is not here: set GPULEDGER_REALITY_DATA ({path})")
    return [line for line in path.read_text().splitlines() if line.strip()]


def test_every_recorded_line_tells_board_code_and_process() -> None:
    """Address, code, pid and name are those that stand in the line."""
    lines = _lines()
    assert len(lines) > 50
    for text in lines:
        line = parse_xid_line(text)
        assert line is not None, text
        address = re.search(r"PCI:(\w+):(\w+):(\w+)\)", text)
        assert address is not None
        assert line.pci == tuple(int(part, 16) for part in address.groups())
        assert f"): {line.code}" in text
        pid = re.search(r"pid=(\d+)", text)
        assert line.pid == (int(pid[1]) if pid else None), text
        name = re.search(r"name=([^,<]+),", text)
        assert line.process == (name[1] if name else ""), text
        assert "pid=" not in line.text


def test_the_codes_of_recorded_lines_are_known() -> None:
    """Of the recorded codes only those that NVIDIA does not list are unknown."""
    parsed = [parse_xid_line(text) for text in _lines()]
    unknown = {line.code for line in parsed if line is not None and classify(line.code).kind == "unknown"}
    assert unknown <= {99_999}
