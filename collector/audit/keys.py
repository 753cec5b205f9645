"""Keys of the audit log: an Ed25519 key that signs, from a file or the environment, and public keys that verify."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gpuledger.errors import AuditError

ENVIRONMENT: Final = "GPULEDGER_AUDIT_KEY"  # the private key itself, PEM
_END: Final = b"-----END PUBLIC KEY-----"
_MAKE: Final = "make one with: gpuledger audit key DIR"


def make_key(directory: Path) -> tuple[Path, Path]:
    """Write a new pair to `audit.key` and `audit.pub`; return both paths. Raises AuditError where one is there."""
    private, public = directory / "audit.key", directory / "audit.pub"
    key = Ed25519PrivateKey.generate()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write_new(private, private_pem(key), 0o600)
        _write_new(public, public_pem(key.public_key()), 0o644)
    except FileExistsError as error:
        raise AuditError(
            f"{error.filename} is there already", hint="a key that signed once is needed for ever: use another folder"
        ) from error
    except OSError as error:
        raise AuditError(f"cannot write a key into {directory}: {error}") from error
    return private, public


def load_private(path: Path | None, environment: Mapping[str, str] = os.environ) -> Ed25519PrivateKey | None:
    """Return the key that signs: from the environment, else from `path`; None where neither says one."""
    if ENVIRONMENT in environment:
        return _private(environment[ENVIRONMENT].encode(), ENVIRONMENT)
    return None if path is None else _private(_read(path), str(path))


def load_public(paths: list[Path]) -> list[Ed25519PublicKey]:
    """Return the keys of files, one or more PEM blocks each."""
    found: list[Ed25519PublicKey] = []
    for path in paths:
        blocks = _read(path).split(_END)[:-1]
        found += [_public(block + _END + b"\n", str(path)) for block in blocks]
    if not found:
        raise AuditError(
            f"no public key in {', '.join(map(str, paths)) or 'nothing'}", hint="give audit.pub with --key"
        )
    return found


def private_pem(key: Ed25519PrivateKey) -> bytes:
    """Return a private key as PEM (PKCS 8), not encrypted."""
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(pem, form, serialization.NoEncryption())


def public_pem(key: Ed25519PublicKey) -> bytes:
    """Return a public key as PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _private(pem: bytes, source: str) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise AuditError(f"{source} holds no private key that can be read: {error}", hint=_MAKE) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise AuditError(f"{source} holds a key of another kind than Ed25519", hint=_MAKE)
    return key


def _public(pem: bytes, source: str) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AuditError(f"{source} holds no public key that can be read: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise AuditError(f"{source} holds a key of another kind than Ed25519")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AuditError(f"cannot read the key {path}: {error}", hint=_MAKE) from error


def _write_new(path: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
