"""An API server as far as the agent asks: lists, watches with bookmarks, compaction, tokens, discovery, single objects.

A real HTTP server (with TLS if wanted) that keeps versions as kube-apiserver does: a watch goes on from a version, one
that is too old is gone (410), and a pod that no longer matches a watch's selector leaves it as DELETED.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

_PARTIAL_LIST = "as=PartialObjectMetadataList"
_PARTIAL = "as=PartialObjectMetadata"


class KubernetesApi:
    """The server's state; change it from the test."""

    def __init__(self, token: str = "token-1") -> None:
        self.tokens = {token}
        self.changed = threading.Condition()
        self.version = 100
        self.compacted = 0  # watches from before this version are gone
        self.pods: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[int, str, dict[str, Any] | None, dict[str, Any] | None]] = []
        self.objects: dict[str, dict[str, Any]] = {}  # by path
        self.forbidden: set[str] = set()
        self.failing: int | None = None  # a status that every request gets
        self.requests: list[tuple[str, dict[str, str], str]] = []
        self.watching = 0
        self.epoch = 0  # raised to break every open watch
        self.closing = False
        self.understands_partial = True
        self.ends_watches_at_once = False

    def put(self, pod: dict[str, Any]) -> None:
        """Create or change a pod."""
        with self.changed:
            self.version += 1
            pod = json.loads(json.dumps(pod))
            pod["metadata"]["resourceVersion"] = str(self.version)
            before = self.pods.get(pod["metadata"]["uid"])
            self.pods[pod["metadata"]["uid"]] = pod
            self.history.append((self.version, "", before, pod))
            self.changed.notify_all()

    def delete(self, uid: str) -> None:
        """Delete a pod."""
        with self.changed:
            self.version += 1
            self.history.append((self.version, "", self.pods.pop(uid), None))
            self.changed.notify_all()

    def bookmark(self) -> None:
        """Tell every watch the version, as the server does each minute."""
        with self.changed:
            self.version += 1
            self.history.append((self.version, "BOOKMARK", None, None))
            self.changed.notify_all()

    def compact(self) -> None:
        """Forget all history; watches that are open end with an ERROR of 410, as they do when the server has lost them."""
        with self.changed:
            self.version += 1
            self.compacted = self.version
            self.history.append((self.version, "ERROR", None, None))
            self.changed.notify_all()

    def break_watches(self) -> None:
        """Cut the connections of all open watches."""
        with self.changed:
            self.epoch += 1
            self.changed.notify_all()

    def close(self) -> None:
        """End everything."""
        with self.changed:
            self.closing = True
            self.changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until the server's state is so."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout_s)

    def asked(self, word: str) -> list[tuple[str, dict[str, str], str]]:
        """Return the requests whose path or query has `word`."""
        return [one for one in list(self.requests) if word in one[0] or word in one[1]]


def pod(
    name: str, uid: str, namespace: str = "ns", node: str = "node-a", phase: str = "Running", **metadata: Any
) -> dict[str, Any]:
    """Return a pod; `metadata` are labels, annotations, ownerReferences."""
    meta = {"name": name, "namespace": namespace, "uid": uid, "managedFields": [{"manager": "kubelet"}], **metadata}
    spec = {"nodeName": node, "containers": [{"name": "main", "env": [{"name": "SECRET", "value": "hunter2"}]}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": {"phase": phase}}


def owner(kind: str, name: str, uid: str, api_version: str = "apps/v1", *, controller: bool = True) -> dict[str, Any]:
    """Return an owner reference."""
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": controller}


def thing(name: str, uid: str, *owners: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """Return any other object's metadata; `metadata` are labels and annotations."""
    return {"metadata": {"name": name, "namespace": "ns", "uid": uid, "ownerReferences": list(owners), **metadata}}


def _selects(selector: str, pod: dict[str, Any] | None) -> bool:
    if pod is None:
        return False
    values = {"spec.nodeName": pod["spec"]["nodeName"], "status.phase": pod["status"]["phase"]}
    for term in selector.split(","):
        name, unequal, value = term.partition("!=")
        if unequal:
            if values[name] == value:
                return False
        else:
            name, _, value = term.partition("=")
            if values[name] != value:
                return False
    return True


def _partial(pod: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": pod["metadata"]}


class _Handler(BaseHTTPRequestHandler):
    api: KubernetesApi
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        api = self.api
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        accept = self.headers.get("Accept", "")
        with api.changed:
            api.requests.append((parts.path, query, accept))
            api.changed.notify_all()
        if self.headers.get("Authorization", "").removeprefix("Bearer ") not in api.tokens:
            return self._status(401, "Unauthorized")
        if api.failing is not None:
            return self._status(api.failing, "on purpose")
        if any(word in parts.path for word in api.forbidden):
            return self._status(403, f"cannot get {parts.path}")
        if parts.path == "/api/v1/pods":
            return self._watch(query, accept) if query.get("watch") == "1" else self._list(query, accept)
        found = api.objects.get(parts.path)
        return self._status(404, "not found") if found is None else self._json(200, found)

    def _json(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _status(self, code: int, message: str) -> None:
        self._json(code, {"kind": "Status", "status": "Failure", "message": message, "code": code})

    def _list(self, query: dict[str, str], accept: str) -> None:
        api = self.api
        with api.changed:
            version = query.get("resourceVersion", "")
            if version not in ("", "0") and int(version) > api.version:
                return self._status(504, "Too large resource version")
            items = [pod for pod in api.pods.values() if _selects(query["fieldSelector"], pod)]
            meta = {"resourceVersion": str(api.version)}
        if _PARTIAL_LIST in accept and api.understands_partial:
            kind = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            return self._json(200, {**kind, "metadata": meta, "items": [_partial(pod) for pod in items]})
        return self._json(200, {"kind": "PodList", "apiVersion": "v1", "metadata": meta, "items": items})

    def _watch(self, query: dict[str, str], accept: str) -> None:
        api = self.api
        assert _PARTIAL in accept
        assert query["allowWatchBookmarks"] == "true"
        at = int(query["resourceVersion"])
        if at < api.compacted:
            return self._status(410, "too old resource version")
        self.send_response(200)
        self.send_header("Content-Type", "application/json;stream=watch")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with api.changed:
            api.watching += 1
            api.changed.notify_all()
        try:
            with suppress(OSError):
                self._stream(at, query["fieldSelector"], api.epoch)
        finally:
            with api.changed:
                api.watching -= 1
                api.changed.notify_all()
        self.close_connection = True
        return None

    def _stream(self, at: int, selector: str, epoch: int) -> None:
        api = self.api
        while not api.ends_watches_at_once:
            with api.changed:
                api.changed.wait_for(
                    lambda at=at: api.closing or api.epoch != epoch or any(one[0] > at for one in api.history), 30
                )
                if api.closing or api.epoch != epoch:
                    return  # without the last chunk: the connection breaks
                news = [one for one in api.history if one[0] > at]
            for at, kind, before, after in news:
                if not self._send_event(at, kind, selector, before, after):
                    break
            else:
                continue
            break
        self.wfile.write(b"0\r\n\r\n")

    def _send_event(self, at: int, kind: str, selector: str, before: Any, after: Any) -> bool:
        was, now = _selects(selector, before), _selects(selector, after)
        if kind == "BOOKMARK":
            event = {
                "type": kind,
                "object": {"kind": "PartialObjectMetadata", "metadata": {"resourceVersion": str(at)}},
            }
        elif kind == "ERROR":
            event = {"type": kind, "object": {"kind": "Status", "code": 410, "message": "too old resource version"}}
        elif now:
            event = {"type": "MODIFIED" if was else "ADDED", "object": _partial(after)}
        elif was:
            gone = json.loads(json.dumps(after or before))
            gone["metadata"]["resourceVersion"] = str(at)
            event = {"type": "DELETED", "object": _partial(gone)}
        else:
            return True
        line = json.dumps(event).encode() + b"\n"
        for part in (line[:7], line[7:]):  # events do not keep to chunks
            self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            self.wfile.flush()
        return kind != "ERROR"


@contextmanager
def serving_api(api: KubernetesApi, certificate: Path | None = None) -> Iterator[str]:
    """Serve on a free port; give the address. With a certificate (its key in the same file) over TLS."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": api}))
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        api.close()
        server.shutdown()
        server.server_close()
        thread.join(10)


def self_signed(folder: Path) -> Path:
    """Return a file with a certificate for 127.0.0.1 and its key."""
    if shutil.which("openssl") is None:
        missing = "openssl is missing: apt-get install openssl"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    path = folder / "server.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=kubernetes", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", path,
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + (folder / "key.pem").read_bytes())
    return path
