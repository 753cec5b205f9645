"""The FOCUS body's own validator (FOCUS 1.2), which lives in an environment of its own: it needs Python 3.12.

Its exit code is 0 even where rules fail, so its report is what counts. Of its rules on InvoiceId, "MUST be null" and
"MUST NOT be null" contradict each other: a file of one kind, all invoiced or none, always fails one of them. Its rules
on CapacityReservationStatus drop their conditions and contradict each other too, so that criterion is not declared;
`focus_checks` holds what they mean.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = Path(os.environ.get("GPULEDGER_FOCUS_VALIDATOR") or ROOT / ".venv-focus")
PROGRAM = ENVIRONMENT / "bin" / "focus-validator"
MISSING = "the FOCUS validator is missing: make focus-validator (needs Python 3.12)"
CRITERIA = (
    "SUB_ACCOUNT_SUPPORTED", "UNIT_PRICING_SUPPORTED", "PUBLIC_PRICE_LIST_SUPPORTED", "USAGE_MEASUREMENT_SUPPORTED",
    "NEGOTIATED_PRICING_SUPPORTED", "TAGGING_SUPPORTED", "ACCOUNT_NAMING_SUPPORTED",
    "BILLING_BASED_ON_PROVISIONED_RESOURCES_SUPPORTED", "RESOURCE_TYPE_ASSIGNMENT_SUPPORTED",
)  # fmt: skip

if not PROGRAM.exists() and os.environ.get("CI") == "true":
    pytest.fail(MISSING, pytrace=False)
needs_validator = pytest.mark.skipif(not PROGRAM.exists(), reason=MISSING)


class Verdict(NamedTuple):
    """How many rules were tried, and the names of those that failed."""

    rules: int
    failed: list[str]


def validate(path: Path) -> Verdict:
    """Return what the validator says of a CSV file."""
    report = path.with_suffix(".xml")
    [packages] = ENVIRONMENT.glob("lib/python3.*/site-packages")
    command = [
        PROGRAM, "--data-file", path, "--validate-version", "1.2", "--block-download",
        "--applicability-criteria", ",".join(CRITERIA), "--output-type", "unittest", "--output-destination", report,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=packages, capture_output=True, text=True, timeout=120, check=False)
    assert report.exists(), done.stdout + done.stderr
    cases = list(ET.parse(report).getroot().iter("testcase"))
    tried = [case for case in cases if case.find("skipped") is None]
    failed = [str(case.get("name")).split()[0] for case in tried if case.find("failure") is not None]
    return Verdict(len(tried), failed)
