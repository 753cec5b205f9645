"""Runs a check in a process with less than root's rights: as nobody, or as a container's root without capabilities."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gpuledger.cli.checks.finding import Finding

ROOT = Path(__file__).parents[2]
NOBODY = 65_534
_PROGRAM = f"""
import json, os, sys
from pathlib import Path
from gpuledger.cli.checks import containers, delivery, driver, kernel, kubelet, processes, slurm, spool
from gpuledger.cli.checks.places import Places
from gpuledger.cli.checks.surroundings import Surroundings, read_surroundings
if sys.argv[2] == "nobody" and os.geteuid() == 0:
    os.setgroups([])
    os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
    os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
around = read_surroundings(dict.fromkeys(["KUBERNETES_SERVICE_HOST"], "10.0.0.1") if sys.argv[3] == "pod" else {{}})
print(json.dumps(eval(sys.argv[1])._asdict()))
"""


def as_nobody(check: str, *, in_pod: bool = False) -> Finding:
    """Return what `check`, an expression over `around`, finds for a user without any right."""
    return _run([sys.executable, "-c", _PROGRAM, check, "nobody", "pod" if in_pod else "host"])


def as_bare_root(check: str, *, keep: str = "", in_pod: bool = True) -> Finding:
    """Return what `check` finds for user 0 with only the capabilities `keep` (`+sys_ptrace,...`), as in a container."""
    setpriv = require_setpriv()
    bounding = f"--bounding-set=-all{',' + keep if keep else ''}"
    program = [sys.executable, "-c", _PROGRAM, check, "root", "pod" if in_pod else "host"]
    return _run([setpriv, bounding, "--inh-caps=-all", *program])


def needs_root() -> None:
    """Skip where the tests do not run as root: rights cannot be taken away from those who have none."""
    if os.geteuid() != 0:
        pytest.skip("only root can give rights away: run the tests as root")


def require_setpriv() -> str:
    """Return the path of setpriv; skip where there is none, or no right to take away."""
    needs_root()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        assert os.environ.get("CI") != "true", "CI must have setpriv: apt-get install util-linux"
        pytest.skip("setpriv is missing: apt-get install util-linux")
    return setpriv


@contextmanager
def open_folder() -> Iterator[Path]:
    """Yield a temporary folder that every user may enter, which pytest's are not."""
    with tempfile.TemporaryDirectory(prefix="gpuledger-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def _run(command: list[str]) -> Finding:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return Finding(**json.loads(done.stdout))
