"""A small HTTP server that answers like a collector, from documents made up here."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Document = dict[str, Any]
FIRST = datetime(2026, 9, 28, tzinfo=UTC)
UNTIL = datetime(2026, 11, 24, 3, tzinfo=UTC)
TEAMS = {"language": 0.44, "vision": 0.21, "recommendation": 0.15, "forecasting": 0.11, "speech": 0.09}
CAPACITY = 44 * 24.0


def status() -> Document:
    return {
        "watermark": UNTIL.isoformat(),
        "zone": "UTC",
        "first_usage": FIRST.isoformat(),
        "usage_rows": 1_234_567,
        "pending_hours": 0,
        "acts": 9,
        "changes": 7,
        "agents": [],
        "events": 0,
        "devices": 44,
        "quarantined": 0,
        "version": "0.1.0",
    }


def row(key: str, kind: str, hours: float, rate: float, active: float, states: dict[str, float]) -> Document:
    return {
        "key": key,
        "kind": kind,
        "gpu_hours": round(hours, 6),
        "active_gpu_hours": round(hours * active, 6),
        "energy_kwh": round(hours * (0.12 + 0.4 * active), 6),
        "carbon_kg": round(hours * 0.1, 6),
        "cost": f"{hours * rate:.9f}",
        "states": {name: round(hours * part, 6) for name, part in states.items()},
    }


def chargeback(params: dict[str, str]) -> Document:
    days = 23.125
    whole = CAPACITY * days
    rows = [
        row(team, "owner", whole * 0.66 * part, 1.9 - i * 0.17, 0.78 - 0.09 * i, _held(0.78 - 0.09 * i))
        for i, (team, part) in enumerate(TEAMS.items())
    ]
    rows += [
        row("idle capacity", "idle", whole * 0.27, 1.4, 0.0, {"idle": 1.0}),
        row("unavailable", "unavailable", whole * 0.012, 2.0, 0.0, {"unavailable": 1.0}),
        row("unobserved", "unobserved", whole * 0.018, 1.4, 0.0, {"unobserved": 1.0}),
        row("unattributed", "unattributed", whole * 0.04, 1.1, 0.4, _held(0.4)),
    ]
    return {
        "currency": "EUR",
        "period": {"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z", "label": params.get("period", "")},
        "view": params.get("view", "allocation"),
        "by": params.get("by", "team"),
        "rows": rows,
        "total": {},
        "unpriced_gpu_hours": 0.0,
        "unobserved_gpu_hours": round(whole * 0.018, 6),
        "pending_hours": 0,
        "as_of": UNTIL.isoformat(),
        "final": False,
    }


def _held(active: float) -> dict[str, float]:
    return {"active": active, "held_idle": 1 - active}


def idle(_params: dict[str, str]) -> Document:
    shown = [
        ("notebook-lena", "vision", "lena", "memory_held", 412.5, 1027.13),
        ("llama-finetune-7b", "language", "omar", "memory_held", 388.25, 966.74),
        ("notebook-piotr", "forecasting", "piotr", "memory_held", 301.0, 451.5),
        ("asr-eval", "speech", "mei", "unknown", 96.75, 145.13),
        ("ranker-serving", "recommendation", "", "memory_held", 71.4, 85.68),
        ("embed-batch", "language", "sofia", "unknown", 33.1, 82.42),
        ("scratch", "vision", "lena", "unknown", 12.1, 18.15),
    ]
    names = ("workload", "team", "user", "reason", "gpu_hours")
    rows = [dict(zip(names, values[:5], strict=True)) | {"cost": f"{values[5]:.9f}"} for values in shown]
    return {"currency": "EUR", "rows": rows}


def adjustments(_params: dict[str, str]) -> Document:
    """Return a credit for a fault, and its other side."""
    credit = {"period": "2026-11", "kind": "fault_credit", "team": "language", "cost": "-17.10"}
    return {"currency": "EUR", "rows": [credit, {**credit, "team": "", "cost": "17.10"}]}


def timeline(params: dict[str, str]) -> Document:
    seeded = random.Random(7)
    rows = []
    at = datetime(2026, 11, 1, tzinfo=UTC)
    while at < UNTIL:
        part = min(1.0, (UNTIL - at) / timedelta(days=1))
        held = (0.62 if at.weekday() < 5 else 0.48) + seeded.uniform(-0.05, 0.05)
        fault = 0.07 if at.day == 12 else 0.004
        dark = 0.09 if at.day in {17, 18} else 0.0
        hours = CAPACITY * part
        states = {
            "active": hours * held * 0.74,
            "held_idle": hours * held * 0.26,
            "unavailable": hours * fault,
            "unobserved": hours * dark,
            "idle": hours * (1 - held - fault - dark),
        }
        shares = {team: share * seeded.uniform(0.85, 1.15) for team, share in TEAMS.items()}
        costs = {team: f"{hours * held * share * 1.7:.9f}" for team, share in shares.items()}
        costs["idle capacity"] = f"{states['idle'] * 1.4:.9f}"
        rows.append({"at": at.isoformat(), "states": states, "costs": costs})
        at += timedelta(days=1)
    return {"currency": "EUR", "period": {"zone": "UTC"}, "grain": params.get("grain", "day"), "rows": rows}


def documents() -> dict[str, Callable[[dict[str, str]], Document]]:
    return {
        "status": lambda _: status(),
        "chargeback": chargeback,
        "idle_workloads": idle,
        "timeline": timeline,
        "adjustments": adjustments,
    }


@contextmanager
def serving(answers: dict[str, Callable[[dict[str, str]], Document]] | None = None, port: int = 0) -> Iterator[str]:
    """Serve `answers` on a free port, or one that is named; yield the address."""
    known = documents() if answers is None else answers

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            target = urlsplit(self.path)
            make = known.get(target.path.removeprefix("/v1/"))
            code = 200 if make else 404
            body = json.dumps(make(dict(parse_qsl(target.query))) if make else {"title": "not found"}).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
