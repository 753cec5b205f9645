"""The tools live in an environment of their own; without it these tests say how to make it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.real import PYTHON, Meeting, meeting

_ASKED_FOR = "GPULEDGER_TOOLS" in os.environ


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip these tests where they are not asked for; where they are, a missing environment is a failure."""
    here = Path(__file__).parent
    if _ASKED_FOR and PYTHON.exists():
        return
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="needs the real tools: make test-tools"))
    if _ASKED_FOR:
        pytest.exit(f"{PYTHON} is missing: make test-tools", returncode=1)


@pytest.fixture
def meet(tmp_path: Path) -> Iterator[Meeting]:
    """Hold a meeting for the processes that a tool starts."""
    with meeting(tmp_path) as held:
        yield held
