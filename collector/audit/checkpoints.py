"""Signed checkpoints: how long the log was at an instant, and the root of its tree, under an Ed25519 signature. Pure.

The text is a signed note as transparency logs write them (C2SP tlog-checkpoint), so that others can witness it: origin,
size, root, and our own line with the time; then one signature line for each key.
"""

from __future__ import annotations

import base64
import binascii
from hashlib import sha256
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from collector.audit.merkle import HASH_BYTES
from gpuledger.accounting.periods import iso, parse_instant
from gpuledger.errors import AuditError, ConfigError

_ED25519: Final = b"\x01"
_DASH: Final = "\N{EM DASH}"
_TIME: Final = "time "
_LINES: Final = 4
_ID: Final = 4  # bytes of a key's id


class Checkpoint(NamedTuple):
    """The head of a log: `size` events, the `root` over them, at an instant."""

    origin: str
    size: int
    root: bytes
    at_us: int

    @property
    def text(self) -> str:
        """Return what is signed."""
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n{_TIME}{iso(self.at_us)}\n"


def key_id(origin: str, public: bytes) -> bytes:
    """Return the four bytes by which a signature line names its key."""
    return sha256(origin.encode() + b"\n" + _ED25519 + public).digest()[:_ID]


def sign(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """Return the signed note."""
    signature = key.sign(checkpoint.text.encode())
    named = key_id(checkpoint.origin, key.public_key().public_bytes_raw()) + signature
    return f"{checkpoint.text}\n{_DASH} {checkpoint.origin} {_base64(named)}\n"


def read_note(note: str) -> tuple[Checkpoint, list[bytes]]:
    """Return what a note says, and its signatures, each behind the id of its key. Proves nothing: `open_note` does.

    Raises AuditError where it is no note.
    """
    text, separator, lines = note.partition("\n\n")
    checkpoint = _parse(f"{text}\n") if separator else None
    if checkpoint is None:
        raise AuditError("not a checkpoint: origin, size, root and time, an empty line, and a signature")
    named = (_named(line, checkpoint.origin) for line in lines.splitlines())
    return checkpoint, [each for each in named if each]


def open_note(note: str, keys: list[Ed25519PublicKey]) -> Checkpoint:
    """Return the checkpoint of a note that one of `keys` signed. Raises AuditError where none did, or it is no note."""
    checkpoint, signatures = read_note(note)
    known = {key_id(checkpoint.origin, key.public_bytes_raw()): key for key in keys}
    for signed in signatures:
        if signed[:_ID] in known:
            try:
                known[signed[:_ID]].verify(signed[_ID:], checkpoint.text.encode())
            except InvalidSignature as error:
                raise AuditError(
                    f"the signature of the checkpoint of {checkpoint.size} events is not its key's",
                    hint="somebody changed the checkpoint: compare it with the copy in another place",
                ) from error
            return checkpoint
    raise AuditError(
        f"no given key signed the checkpoint of {checkpoint.size} events",
        hint="give the public key of its time; after a rotation there are several",
    )


def _parse(text: str) -> Checkpoint | None:
    lines = text.splitlines()
    if len(lines) != _LINES or not lines[1].isdigit() or not lines[3].startswith(_TIME):
        return None
    try:
        root, at_us = base64.b64decode(lines[2], validate=True), parse_instant(lines[3].removeprefix(_TIME))
    except (binascii.Error, ConfigError):
        return None
    found = Checkpoint(lines[0], int(lines[1]), root, at_us)
    return found if len(root) == HASH_BYTES and found.text == text else None


def _named(line: str, origin: str) -> bytes:
    """Return key id and signature of a line; nothing where it is another's."""
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.rpartition(" ")
    if dash != _DASH or name != origin:
        return b""
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return b""


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
