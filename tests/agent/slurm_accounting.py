"""Slurm's accounting, real: MariaDB and slurmdbd of Debian's on free loopback ports, for a cluster of `slurm_cluster`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.agent.slurm_cluster import free_ports
from tests.waiting import until

MISSING = "Slurm's accounting is missing: apt-get install --no-install-recommends slurmdbd mariadb-server"
NEEDED = ("slurmdbd", "sacct", "mariadbd", "mariadb-install-db", "mariadb-admin")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@contextmanager
def accounting(folder: Path) -> Iterator[str]:
    """Run a database and slurmdbd; yield the lines of slurm.conf that use them. Missing: skipped, in CI it fails."""
    if any(shutil.which(name, path=_PATH) is None for name in NEEDED):
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING, pytrace=False)
        pytest.skip(MISSING)
    database, slurmdbd = free_ports(2)
    with _mariadb(folder / "mariadb", database), _slurmdbd(folder, database, slurmdbd):
        yield (
            "AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=127.0.0.1\n"
            f"AccountingStoragePort={slurmdbd}\nAccountingStorageTRES=gres/gpu,gres/gpu:h100,gres/gpu:a100\n"
        )


@contextmanager
def _mariadb(folder: Path, port: int) -> Iterator[None]:
    folder.mkdir()
    install = ("mariadb-install-db", "--no-defaults", f"--datadir={folder}", "--user=root", "--skip-test-db")
    with (folder.parent / "mariadb.log").open("ab") as log:
        subprocess.run(
            (*install, "--auth-root-authentication-method=normal"), check=True, timeout=120, stdout=log, stderr=log
        )
        server = subprocess.Popen(
            (
                "/usr/sbin/mariadbd", "--no-defaults", f"--datadir={folder}", "--user=root", "--bind-address=127.0.0.1",
                f"--port={port}", f"--socket={folder}/socket", "--innodb-lock-wait-timeout=900",
            ),
            stdout=log, stderr=log,
        )  # fmt: skip
        ping = ("mariadb-admin", "--no-defaults", f"--socket={folder}/socket", "ping")
        try:
            until(lambda: subprocess.run(ping, capture_output=True, check=False).returncode == 0, "a database", 60)
            yield
        finally:
            server.terminate()
            server.wait(30)


@contextmanager
def _slurmdbd(folder: Path, database: int, port: int) -> Iterator[None]:
    configuration = folder / "slurmdbd.conf"
    configuration.touch(0o600)
    configuration.write_text(f"""
AuthType=auth/none
CommunicationParameters=NoInAddrAny
DbdHost={socket.gethostname()}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=root
StorageLoc=slurm
""")
    environ = {"PATH": _PATH, "SLURM_CONF": str(folder / "slurm.conf")}
    with (folder / "slurmdbd.log").open("ab") as log:
        server = subprocess.Popen(("/usr/sbin/slurmdbd", "-D"), env=environ, stdout=log, stderr=log)
        try:
            until(lambda: b"started" in (folder / "slurmdbd.log").read_bytes(), "slurmdbd", 60)
            yield
        finally:
            server.terminate()
            server.wait(30)
