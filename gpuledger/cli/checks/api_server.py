"""The Kubernetes API server: whether it answers this pod's account, and what that account may read.

It is asked with SelfSubjectAccessReview, which every account may send about itself.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterable, Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gpuledger.cli.checks.finding import NO_KUBERNETES, Finding

_PATH: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_TIMEOUT_S: Final = 5.0
_NAMES_LOST: Final = "labels, annotations and owners of pods: teams by label, MLOps runs; pods keep their names"
_RBAC: Final = "apply deploy/kustomize/base/agent/rbac.yaml for this account"


class Right(NamedTuple):
    """One verb on one kind of object, and what is lost without it."""

    verb: str
    group: str
    resource: str
    lost: str


RIGHTS: Final = (
    Right("list", "", "pods", _NAMES_LOST),
    Right("watch", "", "pods", _NAMES_LOST),
    *(
        Right("get", group, resource, "owners above the pod: the deployment, the job, the run")
        for group, resource in (
            ("apps", "replicasets"),
            ("apps", "deployments"),
            ("apps", "statefulsets"),
            ("batch", "jobs"),
            ("batch", "cronjobs"),
        )
    ),
    Right("list", "resource.k8s.io", "resourceslices", "grants by dynamic resource allocation (DRA)"),
)


class ApiServer(NamedTuple):
    """Where the API server is, and the files of this account's token and of the server's certificate authority."""

    url: str
    token: Path
    authority: Path


class _RefusedError(Exception):
    """The server does not take our word; the text says how."""


def api_url(environ: Mapping[str, str]) -> str:
    """Return the address of the API server that the kubelet tells a pod of, or an empty string outside a pod."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        return ""
    return f"https://{f'[{host}]' if ':' in host else host}:{port}"


def check_api_server(server: ApiServer | None) -> list[Finding]:
    """Return whether the API server answers, and which rights are missing."""
    if server is None:
        return [
            Finding("API server", "absent", "not asked: this is not a pod, or [kubernetes] api is off", NO_KUBERNETES)
        ]
    try:
        token = server.token.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        step = "mount the account's token: automountServiceAccountToken: true in the agent's pod"
        return [Finding("API server", "warning", f"no token of a service account: {error}", step, _NAMES_LOST)]
    try:
        denied = [right for right in RIGHTS if not _may(server, token, right)]
    except _RefusedError as error:
        return [Finding("API server", "warning", f"{server.url} {error}", _RBAC, _NAMES_LOST)]
    except (OSError, HTTPException, ValueError) as error:
        step = "let the agent's pod reach it (deploy/kustomize/base/agent/networkpolicy.yaml)"
        return [Finding("API server", "warning", f"{server.url}: {error}", step, _NAMES_LOST)]
    return [Finding("API server", "ok", f"{server.url} answers"), _rights(denied)]


def _rights(denied: Iterable[Right]) -> Finding:
    missing = tuple(denied)
    if not missing:
        return Finding("API rights", "ok", f"all {len(RIGHTS)} that are asked for")
    words = ", ".join(f"{right.verb} {right.resource}" for right in missing)
    lost = "; ".join(dict.fromkeys(right.lost for right in missing))
    return Finding("API rights", "warning", f"may not {words}", _RBAC, lost)


def _may(server: ApiServer, token: str, right: Right) -> bool:
    """Ask whether the account has a right. Raises _RefusedError where the server answers anything but a review."""
    attributes = {"verb": right.verb, "group": right.group, "resource": right.resource}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    connection = _connect(server)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", _PATH, json.dumps(review), headers)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status not in {200, 201}:
        raise _RefusedError(f"answers {response.status} {response.reason}")
    status = json.loads(body).get("status", {})
    return bool(status.get("allowed"))


def _connect(server: ApiServer) -> HTTPConnection:
    parts = urlsplit(server.url)
    if parts.scheme == "http":
        return HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
    context = ssl.create_default_context(cafile=server.authority)
    return HTTPSConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S, context=context)
