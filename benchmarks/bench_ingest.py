"""Ingest through the HTTP service, as a ratio to a plain Arrow INSERT ... SELECT of the same rows into DuckDB.

Both end with every row durable. The baseline writes the finished integer columns, batch after batch into one table; the
service also reads frames off sockets, checks every promise, de-duplicates, interns, rolls up and answers each sender.
"""

from __future__ import annotations

import argparse
import http.client
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import duckdb
import pyarrow as pa

from collector.ledger.incoming import IncomingUsage
from gpuledger import wire
from gpuledger.accounting.intervals import cut
from gpuledger.accounting.units import US_PER_MINUTE
from gpuledger.model import Confidence, Device, Evidence, Holder, State, UsageRecord
from gpuledger.tokens import read_token

GPUS: Final = 8
START_US: Final = 1_767_225_600_000_000  # 2026-01-01
EVIDENCE: Final = Evidence("process_cgroup", "device_utilization", "counter", "whole", Confidence.MEASURED)
SERVE: Final = """if True:
    import sys
    from pathlib import Path
    from collector.app import run
    from collector.config import CollectorSettings, LedgerSettings, ServerSettings
    directory = Path(sys.argv[1])
    settings = CollectorSettings(server=ServerSettings(port=0), ledger=LedgerSettings(directory=directory))
    sys.exit(run(settings, ready_file=directory.parent / "ready"))
"""


def main() -> int:
    """Measure both ways, several times in turn, and print the medians and their ratio."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=5_000, help="rows in a batch")
    arguments.add_argument("--batches", type=int, default=160)
    arguments.add_argument("--senders", type=int, default=16)
    arguments.add_argument("--rounds", type=int, default=3)
    args = arguments.parse_args()
    batches = prepare(args.batches, args.rows // GPUS)
    frames = [wire.encode(batch) for batch in batches]
    rows = sum(batch.rows for batch in batches)
    size_bytes = sum(map(len, frames))
    print(
        f"{len(batches)} batches, {rows} rows, {size_bytes / rows:.1f} bytes a row on the wire, {args.senders} senders"
    )
    plain, grouped, served = [], [], []
    for _ in range(args.rounds):
        plain.append(rows / insert(batches, group=1))
        grouped.append(rows / insert(batches, group=8))
        served.append(rows / serve(frames, args.senders))
    _report("INSERT ... SELECT, a transaction a batch", plain)
    _report("INSERT ... SELECT, eight batches a transaction", grouped)
    _report("the HTTP service", served)
    print(f"ratio to a transaction a batch {_median(served) / _median(plain):.2f}", end=", ")
    print(f"to eight batches a transaction {_median(served) / _median(grouped):.2f}")
    return 0


def prepare(count: int, minutes: int) -> list[wire.Batch]:
    """Return batches of as many nodes as it takes, each GPU a row a minute."""
    nodes = max(1, count // 10)
    return [_batch(f"node-{i % nodes:03d}", i // nodes, minutes) for i in range(count)]


def insert(batches: Sequence[wire.Batch], *, group: int) -> float:
    """Return the seconds that the plain way takes for the finished columns of all batches."""
    tables = [_columns(batches[i : i + group]) for i in range(0, len(batches), group)]
    with tempfile.TemporaryDirectory() as directory:
        connection = duckdb.connect(
            str(Path(directory) / "plain.duckdb"), config={"threads": 2, "wal_autocheckpoint": "1GB"}
        )
        connection.register("rows", tables[0])
        connection.execute("CREATE TABLE usage AS SELECT * FROM rows LIMIT 0")
        started_s = time.perf_counter()
        for table in tables:
            connection.register("rows", table)
            connection.execute("INSERT INTO usage SELECT * FROM rows")
        took_s = time.perf_counter() - started_s
        connection.close()
    return took_s


def serve(frames: Sequence[bytes], senders: int) -> float:
    """Return the seconds from the first request to the last acknowledgement, on a fresh collector."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-c", SERVE, str(Path(directory) / "ledger")]
        process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stderr=subprocess.DEVNULL)
        try:
            netloc = _address(process, Path(directory) / "ready")
            token = read_token(Path(directory) / "ledger" / "access" / "admin.token")
            with ThreadPoolExecutor(senders) as pool:
                started_s = time.perf_counter()
                list(pool.map(lambda part: _send(netloc, token, part), [frames[i::senders] for i in range(senders)]))
                return time.perf_counter() - started_s
        finally:
            process.kill()
            process.wait()


def _send(netloc: str, token: str, frames: Sequence[bytes]) -> None:
    connection = http.client.HTTPConnection(netloc, timeout=120)
    headers = {"Content-Type": wire.MEDIA_TYPE, "Authorization": f"Bearer {token}"}
    for frame in frames:
        connection.request("POST", "/v1/batches", frame, headers)
        response = connection.getresponse()
        answer = response.read()
        assert response.status == 200, answer
    connection.close()


def _address(process: subprocess.Popen[bytes], ready: Path) -> str:
    deadline_s = time.monotonic() + 60
    while not ready.exists() or not ready.read_text():
        assert process.poll() is None, "the collector did not start"
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    return urlsplit(ready.read_text()).netloc


def _batch(node: str, sequence: int, minutes: int) -> wire.Batch:
    from_us = START_US + sequence * minutes * US_PER_MINUTE
    until_us = from_us + minutes * US_PER_MINUTE
    devices = tuple(Device(f"GPU-{node}-{i}", "gpu", "NVIDIA H100 80GB HBM3", index=i) for i in range(GPUS))
    holders = tuple(Holder(f"pod:{node}-{i}-{sequence}/c", "pod", namespace=f"team-{i % 5}") for i in range(GPUS))
    usage = [row for i in range(GPUS) for row in _rows(devices[i].key, holders[i].key, from_us, until_us, i)]
    columns, evidence, reasons = wire.pack_usage(usage, devices, holders)
    energy: dict[str, int] = {}
    for row in usage:
        energy[row.device] = energy.get(row.device, 0) + (row.energy_mj or 0)
    identity = (node, "boot", sequence, "bench", node)
    dictionaries = (devices, holders, evidence, reasons)
    stated = tuple(wire.BoardEnergy(*item) for item in energy.items())
    return wire.Batch(*identity, from_us, until_us, until_us, "bench", *dictionaries, columns, stated)


def _rows(device: str, holder: str, from_us: int, until_us: int, salt: int) -> list[UsageRecord]:
    """Return a row a minute with figures that differ from row to row, as real ones do."""
    found = []
    for i, (start_us, end_us) in enumerate(cut(from_us, until_us, US_PER_MINUTE)):
        noise = (i * 2_654_435_761 + salt * 40_503) % 1_000_003
        state = State.ACTIVE if noise % 7 else State.HELD_IDLE
        memory_bytes = 40_000_000_000 + noise * 4_096
        figures = (end_us - start_us, noise * 59, 20_000_000 + noise * 20, memory_bytes, memory_bytes + 1_000_000)
        found.append(UsageRecord(device, holder, start_us, end_us, state, "", *figures, EVIDENCE))
    return found


def _columns(batches: Sequence[wire.Batch]) -> pa.Table:
    gathered = IncomingUsage()
    for batch_id, batch in enumerate(batches):
        sizes = {"device": batch.devices, "holder": batch.holders, "reason": batch.reasons, "evidence": batch.evidence}
        gathered.add(
            batch_id, wire.columns(batch), {name: list(range(len(entries))) for name, entries in sizes.items()}
        )
    return gathered.table()


def _report(name: str, rates: list[float]) -> None:
    print(f"{name:<48} {_median(rates):>12,.0f} rows/s   (of {', '.join(f'{rate:,.0f}' for rate in rates)})")


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


if __name__ == "__main__":
    sys.exit(main())
