"""The audit log: what the chain adds to the inserts of its events, and how fast a log is verified.

The baseline writes the same rows, batched in the same transactions, without hashes that link them.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.audit.checkpoints import open_note
from collector.audit.events import Act
from collector.audit.heads import make_checkpoint, notes
from collector.audit.log import _SCHEMA, append, entries
from collector.audit.verify import verify
from collector.ledger.store import Ledger

NOW_US: Final = 1_767_225_600_000_000  # 2026-01-01
DETAILS: Final = {"source": "prices.toml", "sha256": "0" * 64}


def _chained(ledger: Ledger, count: int, batch: int) -> None:
    for first in range(0, count, batch):
        acts = [Act("price.import", "ann", f"prices {number}", DETAILS) for number in range(first, first + batch)]
        with ledger.transaction() as session:
            append(session, NOW_US + first, acts)


def _plain(ledger: Ledger, count: int, batch: int) -> None:
    for first in range(0, count, batch):
        rows = [
            {
                "sequence": number,
                "at_us": NOW_US + first,
                "act": "price.import",
                "actor": "ann",
                "subject": f"prices {number}",
                "entry": json.dumps({"details": DETAILS, "previous": "0" * 64, "sequence": number}),
            }
            for number in range(first, first + batch)
        ]
        with ledger.transaction() as session:
            session.execute("audit_insert", tables={"new_events": pa.Table.from_pylist(rows, schema=_SCHEMA)})


def _timed(work: Callable[[Ledger, int, int], None], count: int, batch: int) -> float:
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder)) as ledger:
        begun = time.perf_counter()
        work(ledger, count, batch)
        return time.perf_counter() - begun


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--verify", type=int, default=200_000, help="length of the log that is verified")
    args = parser.parse_args()
    for batch in (1, 10, 100):
        count = args.events // (10 if batch == 1 else 1)
        runs = [(_timed(_chained, count, batch), _timed(_plain, count, batch)) for _ in range(3)]
        chained, plain = min(run[0] for run in runs), min(run[1] for run in runs)
        print(f"{batch} a transaction: {count / chained:,.0f} events/s, {chained / plain:.2f} times the plain inserts")
    key = Ed25519PrivateKey.generate()
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder) / "ledger") as ledger:
        _chained(ledger, args.verify, 10_000)
        make_checkpoint(ledger, "gpuledger", key, Path(folder))
        with ledger.snapshot() as session:
            heads = [open_note(note, [key.public_key()]) for note in notes(session)]
            log = list(entries(session))
    begun = time.perf_counter()
    assert verify(log, heads).ok
    spent = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"verifying: {len(log) / spent:,.0f} events/s, so a million in {1e6 / len(log) * spent:.1f} s; peak {peak} MiB"
    )


if __name__ == "__main__":
    main()
