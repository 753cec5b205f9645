"""Doctor on the API server: a real server answers whether the account may do what the agent asks for."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gpuledger.cli.checks.api_server import RIGHTS, ApiServer, api_url, check_api_server
from tests.agent.scripted_server import Answer, Request, serving


def account(folder: Path, url: str) -> ApiServer:
    """Return a server that is asked with a token in a file."""
    (folder / "token").write_text("s3cret\n")
    return ApiServer(url, folder / "token", folder / "ca.crt")


def reviewer(*denied: str) -> Callable[[Request], Answer]:
    """Answer reviews as an API server does that grants all but the `denied` resources."""

    def answer(request: Request) -> Answer:
        review = json.loads(request.body)
        assert (request.method, request.path) == (
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        )
        assert request.headers["authorization"] == "Bearer s3cret"
        asked = review["spec"]["resourceAttributes"]
        return Answer(201, json.dumps({**review, "status": {"allowed": asked["resource"] not in denied}}).encode())

    return answer


def test_an_account_with_all_rights_is_well(tmp_path: Path) -> None:
    """Every right that the agent uses is asked for once."""
    with serving(reviewer()) as server:
        found = check_api_server(account(tmp_path, server.url))
    assert [finding.status for finding in found] == ["ok", "ok"]
    assert len(server.requests) == len(RIGHTS)


def test_missing_rights_are_named_with_what_they_cost(tmp_path: Path) -> None:
    """The finding lists verb and resource of each, the file that grants them, and what stays unknown."""
    with serving(reviewer("pods", "resourceslices")) as server:
        [_, rights] = check_api_server(account(tmp_path, server.url))
    assert rights.status == "warning"
    assert rights.found == "may not list pods, watch pods, list resourceslices"
    assert "rbac.yaml" in rights.next_step
    assert "labels" in rights.lost
    assert "DRA" in rights.lost


def test_a_refused_token_is_not_a_missing_right(tmp_path: Path) -> None:
    """401 says that the account is not known here; the token is not in the message."""
    with serving(lambda _: Answer(401, b"{}")) as server:
        [finding] = check_api_server(account(tmp_path, server.url))
    assert (finding.status, "401" in finding.found, "s3cret" in str(finding)) == ("warning", True, False)


def test_no_server_no_token_no_pod(tmp_path: Path) -> None:
    """Unreachable leads to the network policy, a missing token to the pod's settings, no pod to nothing."""
    assert "networkpolicy.yaml" in check_api_server(account(tmp_path, "http://127.0.0.1:9"))[0].next_step
    assert "automount" in check_api_server(ApiServer("http://127.0.0.1:9", tmp_path / "none", tmp_path))[0].next_step
    assert check_api_server(None)[0].status == "absent"


@pytest.mark.parametrize(
    ("host", "url"), [("10.0.0.1", "https://10.0.0.1:6443"), ("fd00::1", "https://[fd00::1]:6443"), ("", "")]
)
def test_the_address_is_the_one_that_the_kubelet_tells(host: str, url: str) -> None:
    """IPv6 addresses get their brackets; outside a pod there is no address."""
    assert api_url({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "6443"} if host else {}) == url


def test_the_servers_certificate_is_checked_against_the_clusters_own_authority(tmp_path: Path) -> None:
    """With the cluster's authority the server is believed; with a wrong one the finding says that it is not."""
    openssl = shutil.which("openssl")
    if openssl is None:
        assert os.environ.get("CI") != "true", "CI must have openssl: apt-get install openssl"
        pytest.skip("openssl is missing: apt-get install openssl")
    for name in ("right", "wrong"):
        request = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=kube", "-days", "1"]
        request += ["-addext", "subjectAltName=IP:127.0.0.1"]
        request += ["-keyout", str(tmp_path / f"{name}.key"), "-out", str(tmp_path / f"{name}.crt")]
        subprocess.run(request, check=True, capture_output=True, timeout=60)

    class Allows(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'{"status": {"allowed": true}}'
            self.send_response(201)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "right.crt", tmp_path / "right.key")
    with ThreadingHTTPServer(("127.0.0.1", 0), Allows) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asked = account(tmp_path, f"https://127.0.0.1:{server.server_port}")
        trusted = check_api_server(asked._replace(authority=tmp_path / "right.crt"))
        doubted = check_api_server(asked._replace(authority=tmp_path / "wrong.crt"))
        server.shutdown()
    assert [finding.status for finding in trusted] == ["ok", "ok"]
    assert "certificate verify failed" in doubted[0].found
