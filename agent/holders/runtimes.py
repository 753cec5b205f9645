"""What a container runtime tells about a container: docker's and podman's API sockets, and the OCI bundles on disk."""

from __future__ import annotations

import http.client
import re
import socket
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from agent.config import ContainersSection
from agent.holders.containers import ContainerNames, ContainerSource
from agent.identity.facts import ContainerFacts
from agent.identity.redaction import looks_secret
from gpuledger.errors import HolderError

TIMEOUT_S: Final = 0.5
_MAX_DOCUMENT: Final = 4 * 1024 * 1024
_MAX_LABEL: Final = 256
_ID: Final = re.compile(r"[0-9a-f]{64}")
_CONTAINER_NAMES: Final = ("io.kubernetes.cri.container-name", "io.kubernetes.container.name", "nerdctl/name")
_IMAGE_NAMES: Final = ("io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName")


def container_names(settings: ContainersSection, labels: Callable[[], Iterable[str]]) -> ContainerNames:
    """Return who is asked on this node: the runtimes whose socket we may use, and those that keep bundles here."""
    return ContainerNames(tuple(_sources(settings, labels)) if settings.enabled else ())


def _sources(settings: ContainersSection, labels: Callable[[], Iterable[str]]) -> Iterator[ContainerSource]:
    for runtime, path in (("docker", settings.docker), ("podman", settings.podman)):
        if is_usable_socket(path):
            yield runtime_socket(runtime, path, labels)
    yield bundles("containerd", f"{settings.containerd}/{{namespace}}/{{id}}/config.json", labels)
    yield bundles("cri-o", f"{settings.crio}/{{id}}/userdata/config.json", labels)


def runtime_socket(runtime: str, path: Path, labels: Callable[[], Iterable[str]]) -> ContainerSource:
    """Return docker, or podman in docker's manner, at its Unix socket; `labels` are those that may be kept."""

    def find(container_id: str) -> ContainerFacts | None:
        body = _ask(runtime, path, f"/containers/{container_id}/json")
        return None if body is None else parse_inspection(body, container_id, runtime, labels())

    return ContainerSource(f"{runtime} at {path}", lambda wanted: find(wanted) if _ID.fullmatch(wanted) else None)


def bundles(runtime: str, pattern: str, labels: Callable[[], Iterable[str]]) -> ContainerSource:
    """Return the OCI bundles that a runtime keeps; `pattern` is a path with `{namespace}` (if any) and `{id}` in it."""

    def find(container_id: str) -> ContainerFacts | None:
        if not _ID.fullmatch(container_id):
            return None
        for path in _bundle_paths(pattern, container_id):
            try:
                with path.open("rb") as file:
                    document = file.read(_MAX_DOCUMENT)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise HolderError(f"{path} cannot be read: {error.strerror}", hint="run the agent as root") from error
            namespace = path.parent.parent.name if "{namespace}" in pattern else ""
            return parse_bundle(document, container_id, runtime, namespace, labels())
        return None

    return ContainerSource(f"{runtime} bundles", find)


def is_usable_socket(path: Path) -> bool:
    """Return whether there is a Unix socket that we may connect to."""
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(str(path))
    except OSError:
        return False
    return True


class _Config(msgspec.Struct):
    Image: str | None = ""
    Labels: dict[str, str] | None = None


class _Inspection(msgspec.Struct):
    Name: str = ""
    ImageName: str = ""  # podman's own
    Config: _Config | None = None


class _Bundle(msgspec.Struct):
    annotations: dict[str, str] | None = None


def parse_inspection(body: bytes, container_id: str, runtime: str, labels: Iterable[str]) -> ContainerFacts:
    """Return what `GET /containers/<id>/json` tells; of all it has, names and listed labels only."""
    try:
        inspected = msgspec.json.decode(body, type=_Inspection)
    except (msgspec.DecodeError, RecursionError) as error:
        raise HolderError(f"{runtime} answered what is no description of a container") from error
    config = inspected.Config or _Config()
    return ContainerFacts(
        container_id,
        runtime,
        name=inspected.Name.removeprefix("/"),
        image=_safe(config.Image or inspected.ImageName),
        labels=_kept(config.Labels or {}, labels),
    )


def parse_bundle(
    document: bytes, container_id: str, runtime: str, namespace: str, labels: Iterable[str]
) -> ContainerFacts:
    """Return what an OCI `config.json` tells by its annotations."""
    try:
        bundle = msgspec.json.decode(document, type=_Bundle)
    except (msgspec.DecodeError, RecursionError) as error:
        raise HolderError(f"the bundle of container {container_id[:12]} is not what OCI describes") from error
    annotations = bundle.annotations or {}
    return ContainerFacts(
        container_id,
        runtime,
        name=next((annotations[key] for key in _CONTAINER_NAMES if annotations.get(key)), ""),
        image=_safe(next((annotations[key] for key in _IMAGE_NAMES if annotations.get(key)), "")),
        namespace=namespace,
        labels=_kept(annotations, labels),
    )


def _kept(labels: Mapping[str, str], wanted: Iterable[str]) -> dict[str, str]:
    found = {key: labels[key][:_MAX_LABEL] for key in wanted if labels.get(key)}
    return {key: value for key, value in found.items() if not looks_secret(value)}


def _safe(value: str) -> str:
    return "" if looks_secret(value) else value[:_MAX_LABEL]


def _bundle_paths(pattern: str, container_id: str) -> Iterable[Path]:
    place = pattern.replace("{id}", container_id)
    before, namespace, after = place.partition("{namespace}")
    if not namespace:
        return (Path(place),)
    parent = Path(before)
    try:
        return [entry / after.lstrip("/") for entry in sorted(parent.iterdir())]
    except FileNotFoundError:
        return ()  # this runtime does not run here
    except OSError as error:
        raise HolderError(f"{parent} cannot be read: {error.strerror}", hint="run the agent as root") from error


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(str(self._path))


def _ask(runtime: str, path: Path, target: str) -> bytes | None:
    """Return the body of an answer, or None where the runtime does not know what we ask for."""
    connection = _UnixConnection(path)
    hint = "let the agent read the socket, or set [containers] to leave it out"
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        body = answer.read(_MAX_DOCUMENT)
    except (OSError, http.client.HTTPException) as error:
        raise HolderError(f"{runtime} at {path} does not answer: {error}", hint=hint) from error
    finally:
        connection.close()
    if answer.status == http.client.NOT_FOUND:
        return None
    if answer.status != http.client.OK:
        raise HolderError(f"{runtime} at {path} answers {answer.status} {answer.reason}", hint=hint)
    return body
