"""Delivery: whether the collector can commit, how far its clock is from ours, and whether our token can be read."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gpuledger.cli.checks.finding import Finding

MAX_SKEW_S: Final = 2.0
TIMEOUT_S: Final = 3.0
_WAITS: Final = "nothing yet: batches wait in the spool until it is full"


def check_collector(url: str) -> list[Finding]:
    """Return whether the collector can commit, and how far its clock is from ours."""
    step = 'start it with "gpuledger collector", or name it in [collector] url or with --url'
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    before = time.time()
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        connection.request("GET", f"{parts.path.rstrip('/')}/readyz")
        response = connection.getresponse()
        response.read()
    except (OSError, HTTPException, ValueError) as error:
        return [Finding("collector", "failed", f"{url}: {error}", step, _WAITS)]
    finally:
        after = time.time()
    connection.close()
    if response.status != 200:
        return [Finding("collector", "failed", f"{url} answers {response.status}", "read the collector's log", _WAITS)]
    return [Finding("collector", "ok", url), check_clock(response.getheader("Date") or "", before, after)]


def check_clock(date: str, before_s: float, after_s: float) -> Finding:
    """Return how far the collector's clock is from ours; its Date header counts whole seconds."""
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except ValueError:
        return Finding("clock", "warning", "the collector gives no Date", "compare both with a time server")
    skew_s = max(before_s - (theirs + 1), theirs - after_s, 0.0)
    if skew_s > MAX_SKEW_S:
        at = datetime.fromtimestamp(theirs, tz=UTC)
        found = f"{skew_s:.0f} s apart (collector: {at:%H:%M:%S} UTC)"
        step = "set both clocks (chrony, systemd-timesyncd)"
        return Finding("clock", "failed", found, step, "hours are cut in the wrong place; batches may be refused")
    return Finding("clock", "ok", "within a second or two of the collector's")


def check_token(path: Path | None) -> Finding:
    """Return whether the token that the agent shows the collector can be read; the token itself is never shown."""
    if path is None:
        hint = "fine where agent and collector run as one user on one machine; else give [collector] join_token_file"
        return Finding("token", "absent", "no [collector] token_file or join_token_file is set", hint)
    try:
        empty = not path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        return Finding("token", "failed", f"{path}: {error}", "make it readable for the agent's user", _WAITS)
    if empty:
        return Finding("token", "failed", f"{path} is empty", "put the token of this agent into it", _WAITS)
    return Finding("token", "ok", str(path))
