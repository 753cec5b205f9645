"""Reports, compare and energy of a month of 1,000 GPUs: seconds and peak memory, against reading the lines alone."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.bench_export import EXPORT
from benchmarks.filled_ledger import MONTH, fill

READ = """
import sys
from gpuledger.accounting.periods import parse_period
from gpuledger.cli.sources import open_local
from analytics.bill_lines import read_charges
from pathlib import Path
print(sum(map(len, read_charges(open_local(Path(sys.argv[1])), parse_period(sys.argv[2])))))
"""


def main() -> int:
    """Fill a ledger, ask in processes of their own, print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        ledger, out = Path(folder) / "ledger", Path(folder) / "out"
        rows = fill(ledger, gpus=1_000, holders=400)
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", READ, str(ledger), MONTH], check=True, capture_output=True)
        bare_s = time.perf_counter() - began
        print(f"{rows:,} lines; reading them alone {bare_s:.1f} s")
        for name, more in {
            "compare": (),
            "energy": (),
            "report all": ("--out", str(out)),
        }.items():
            began = time.perf_counter()
            command = [sys.executable, "-c", EXPORT, *name.split(), "--period", MONTH, "--ledger", str(ledger), *more]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds, peak_mib = time.perf_counter() - began, int(done.stderr.split()[-1]) / 1024
            files = f", {len(list(out.rglob('*.*')))} files" if more else ""
            print(f"{name}: {seconds:.1f} s ({seconds / bare_s:.1f} times), peak {peak_mib:,.0f} MiB{files}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
