"""What the agent costs its node: memory, CPU of one sample and of one scrape, and what each import weighs.

8 GPUs with 32 processes on the simulated driver; the processes are real ones, read from this machine's /proc. Memory
is beside that of a bare interpreter, a sample beside reading the driver alone; each import is a fresh process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

GPUS: Final = 8
PROCESSES: Final = 32
SAMPLES: Final = 360  # an hour at one each ten seconds
STEP_US: Final = 10_000_000
_SELF: Final = "benchmarks.bench_agent"
IMPORTS: Final = ("msgspec", "pynvml", "http.client", "http.server", "agent.app")


def memory_kib() -> tuple[int, int]:
    """Return this process's resident and proportional memory."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return int(fields["Rss"].split()[0]), int(fields["Pss"].split()[0])


def measure_import(module: str) -> None:
    """Print what importing `module` (or nothing) adds to a bare interpreter."""
    before, _ = memory_kib()
    began = time.process_time()
    if module:
        __import__(module)
    elapsed_s = time.process_time() - began
    after, pss = memory_kib()
    print(json.dumps({"added_kib": after - before, "rss_kib": after, "pss_kib": pss, "cpu_ms": elapsed_s * 1e3}))


def fresh(module: str, *arguments: str) -> dict[str, float]:
    """Return what a fresh process prints that runs a module of the benchmarks."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def run() -> dict[str, float]:
    """Return the figures by name."""
    bare, agent = fresh(_SELF, "import", ""), fresh("benchmarks.agent_node")
    figures = {
        "rss_mib": agent["rss_kib"] / 1024,
        "pss_mib": agent["pss_kib"] / 1024,
        "bare_interpreter_rss_mib": bare["rss_kib"] / 1024,
        "rss_over_bare_ratio": agent["rss_kib"] / bare["rss_kib"],
        "cpu_per_sample_ms": agent["sample_ms"],
        "of_which_driver_ms": agent["driver_ms"],
        "sample_over_driver_ratio": agent["sample_ms"] / agent["driver_ms"],
        "cpu_at_10_s_percent_of_a_core": agent["sample_ms"] / 100,
        "cpu_at_1_s_percent_of_a_core": agent["sample_ms"] / 10,
        "cpu_per_scrape_ms": agent["scrape_ms"],
        "series": agent["series"],
        "history_us_per_device_snapshot": agent["history_us"],
        "of_which_observe_us": agent["observe_us"],
        "batch_bytes_per_minute": agent["batch_bytes"],
    }
    for module in IMPORTS:
        cost = fresh(_SELF, "import", module)
        figures[f"import_{module}_added_mib"] = cost["added_kib"] / 1024
        figures[f"import_{module}_cpu_ms"] = cost["cpu_ms"]
    return {name: round(value, 3) for name, value in figures.items()}


if __name__ == "__main__":
    if sys.argv[1:2] == ["import"]:
        measure_import(sys.argv[2])
    else:
        for name, value in run().items():
            print(f"{name:44} {value}")
