"""What `gpuledger` says when it is given no command: what to do first."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from gpuledger.cli.exits import DONE

TEXT: Final = """\
gpuledger: every GPU-second accounted for - who held it, what it did, what it cost.

First:
  gpuledger demo                    a simulated fleet with a month of history, live, with its pages
  gpuledger doctor                  what works on this machine, and the next step where something does not

On your own machines:
  gpuledger collector               the ledger; one process, on one machine
  gpuledger agent                   on each node with GPUs; delivers to the collector
  gpuledger price import FILE       what a GPU-hour costs
  gpuledger owner import FILE       which namespaces, accounts and users belong to which team
  gpuledger dashboards              the pages

Then:
  gpuledger chargeback              this month's cost by team
  gpuledger utilization             what GPU time was spent as
  gpuledger idle                    what was held and did nothing
  gpuledger reconcile               the proof that nothing was lost or counted twice

"gpuledger COMMAND --help" lists what a command takes.
"""


def run(_args: argparse.Namespace) -> int:
    """Print the text."""
    sys.stdout.write(TEXT)
    return DONE
