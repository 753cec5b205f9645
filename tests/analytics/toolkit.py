"""The public FOCUS data toolkit, run as its users run it: it lints FOCUS 1.4 files and checks them against each other."""

from __future__ import annotations

import subprocess
import sys

CHARGES = "focus_1_4_cost_and_usage.csv"
DATASETS = {
    "cost-and-usage": CHARGES,
    "billing-period": "focus_1_4_billing_period.csv",
    "invoice-detail": "focus_1_4_invoice_detail.csv",
}


def toolkit(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the toolkit."""
    command = [sys.executable, "-m", "focus_data_toolkit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
