"""Exported audit logs for tests: acts at chosen hours, chained and signed as the collector does it, and a log of October."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.audit.checkpoints import Checkpoint, sign
from collector.audit.events import FIRST_LINK, Act, Link, link
from collector.audit.keys import public_pem
from collector.audit.merkle import root_of
from gpuledger.accounting.periods import parse_instant
from gpuledger.accounting.units import US_PER_HOUR

START_US: Final = parse_instant("2026-10-01T00:00:00Z")
KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


def fingerprint(key: Ed25519PrivateKey) -> str:
    """Return by which the log names a key."""
    return sha256(key.public_key().public_bytes_raw()).hexdigest()


class ExportedLog:
    """A log that grows by acts, with checkpoints at any hour of October 2026."""

    def __init__(self) -> None:
        self.links: list[Link] = []
        self.notes: list[str] = []

    def add(self, hour: float, act: str, actor: str = "ann", subject: str = "", **details: Any) -> int:
        """Record an act; return its number."""
        at_us = START_US + int(hour * US_PER_HOUR)
        previous = self.links[-1].hash if self.links else FIRST_LINK
        self.links += link([Act(act, actor, subject, details)], at_us, len(self.links), previous)
        return len(self.links) - 1

    def sign(self, hour: float, key: Ed25519PrivateKey = KEY) -> str:
        """Make a checkpoint."""
        root = root_of(each.leaf for each in self.links)
        self.notes.append(sign(Checkpoint("acme", len(self.links), root, START_US + int(hour * US_PER_HOUR)), key))
        return self.notes[-1]

    def write(self, folder: Path) -> Path:
        """Write what `audit export` would, and the public key beside it."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "audit.jsonl").write_bytes(b"".join(each.entry + b"\n" for each in self.links))
        for number, note in enumerate(self.notes):
            (folder / f"{number:06d}.checkpoint").write_text(note, encoding="utf-8")
        (folder / "audit.pub").write_bytes(public_pem(KEY.public_key()))
        return folder


def october() -> ExportedLog:
    """Return a log whose first day has something of everything; it is signed each hour until the sixth."""
    log = ExportedLog()
    log.add(-30, "audit.key", "collector", fingerprint(KEY))
    log.add(
        -29,
        "token.create",
        "unnamed",
        "token 1",
        name="ann",
        role="finance",
        token=1,
        teams=["*"],
        expires=None,
        uses=None,
    )
    log.add(
        -28, "token.create", "ann", "token 2", name="ben", role="team-lead", token=2, teams=["acme/ml/vision"],
        expires="2026-10-20T00:00:00Z", uses=None,
    )  # fmt: skip
    log.add(
        -27,
        "token.create",
        "ann",
        "token 3",
        name="gone",
        role="viewer",
        token=3,
        teams=["*"],
        expires="2026-09-30T12:00:00Z",
    )
    log.add(
        -26,
        "token.create",
        "ann",
        "token 4",
        name="join",
        role="join",
        token=4,
        teams=["*"],
        expires="2027-01-01T00:00:00Z",
    )
    log.add(-25, "price.import", "ann", "prices 1", source="prices.toml", sha256="ab" * 32)
    log.sign(-24)
    log.sign(-0.5)
    log.add(0.2, "agent.enrol", "join", "node-1", name="agent node-1", role="agent", token=5, by="join")
    log.add(0.2, "agent.new", "node-1", "node-1", cluster="c", node="n1")
    log.add(0.3, "rules.import", "ann", "rules 1", source="rules.toml", sha256="cd" * 32, rules=3)
    log.add(0.4, "owner.import", "ann", "owners 1", source="owners.toml", sha256="ef" * 32)
    log.sign(0.5)
    log.add(0.6, "rules.allow", "ann", "price by ann", action="allow", rule="small changes", rules=1)
    log.add(0.6, "price.import", "ann", "prices 2", source="prices.toml", sha256="01" * 32)
    _request(log, "approval 1", "ben")
    log.add(1.1, "approval.approve", "ann", "approval 1", by="ann", why="it fits")
    log.add(
        1.1,
        "adjustment.add",
        "ann",
        "adjustment 1",
        by="ben",
        why="agreed",
        lines=[{"owner": "vision", "amount": "-5"}],
    )
    log.add(1.1, "approval.grant", "ann", "approval 1", made="adjustment 1")
    log.sign(1.5)
    for name, count in (("/v1/chargeback", 0), ("/v1/usage", 0), ("/v1/chargeback", 7)):
        log.add(1.6, "access.read", "ann", name, **({"again": count} if count else {"role": "finance", "token": 1}))
    log.add(1.7, "access.deny", "unknown", "10.0.0.9", why="no token", route="GET /v1/audit")
    log.add(1.8, "access.refuse", "ben", "GET /v1/audit", role="team-lead", token=2, needs="audit")
    log.add(
        1.9, "admission.refuse", "kai", "pod ml/train", answered="allow", mode="shadow", owner="acme/ml/vision", parts=8,
        reasons="over budget", rule="no more", source="kubernetes", times=4, uid="u1",
    )  # fmt: skip
    log.add(2, "token.revoke", "ann", "token 2", name="ben", why="left the team")
    log.add(
        2, "period.close", "ann", "2026-09", closed_by="ann", digest="9f" * 32, exception="", invoices=2, method="m"
    )
    log.sign(2.5)
    log.add(
        2.6,
        "budget.stage",
        "collector",
        "vision",
        period="2026-10",
        stage="notify at 80 %",
        why="80 of 100 EUR",
        tell=["lead"],
    )
    log.add(2.6, "notice.failed", "collector", "notice 1", to="lead", key="1-lead", attempts=6, reason="no answer")
    log.add(2.7, "event.gpu_lost", "node-1", "c/n1", device="GPU-1", message="GPU lost")
    for hour in (3.5, 4.5, 5.5):
        log.sign(hour)
    return log


def _request(log: ExportedLog, name: str, by: str) -> None:
    log.add(
        1, "approval.request", by, name, by=by, why="agreed", kind="adjustment", owner="acme/ml/vision", amount="-5 EUR",
        action="approval", rule="money", rules=1, needs=["1 of finance"], notify=[], expires="2026-10-05T00:00:00Z",
    )  # fmt: skip
