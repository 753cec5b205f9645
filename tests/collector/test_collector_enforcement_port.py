"""The port for schedulers: HTTPS for those who have a certificate, and nothing of the ledger on it."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from collector.app import running
from collector.config import AdmissionSettings
from gpuledger.errors import ConfigError
from tests.collector.certificates import Authority, Pair
from tests.collector.reviews import pod, review, sent
from tests.collector.test_collector_api import settings


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def port(tmp_path: Path, authority: Authority) -> Iterator[int]:
    pair, chosen = authority.issue("collector"), free_port()
    admission = AdmissionSettings(
        port=chosen, certificate=pair.certificate, key=pair.key, client_ca=authority.file, refresh_s=1
    )
    with running(msgspec.structs.replace(settings(tmp_path / "ledger"), admission=admission)):
        yield chosen


def ask(
    port: int, authority: Authority, shown: Pair | None, method: str, path: str, body: bytes = b""
) -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=str(authority.file))
    if shown:
        context.load_cert_chain(shown.certificate, shown.key)
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_kube_apiserver_is_answered_by_its_certificate(port: int, authority: Authority) -> None:
    """Without a token; what else a collector answers is not there."""
    apiserver = authority.issue("kube-apiserver")
    status, body = ask(port, authority, apiserver, "POST", "/v1/admission", sent(review(pod())))
    assert status == 200
    assert json.loads(body)["response"]["allowed"] is True
    assert ask(port, authority, apiserver, "GET", "/healthz")[0] == 200
    for path in ("/v1/chargeback", "/v1/admissions", "/metrics", "/openapi.json"):
        assert ask(port, authority, apiserver, "GET", path)[0] == 404


def test_who_shows_no_certificate_of_the_authority_is_not_heard(
    port: int, authority: Authority, tmp_path: Path
) -> None:
    """Nor is who shows another's."""
    for shown in (None, Authority(tmp_path, "another").issue("kube-apiserver")):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
            ask(port, authority, shown, "POST", "/v1/admission", sent(review(pod())))


def test_a_port_that_anybody_could_ask_is_not_opened(tmp_path: Path, authority: Authority) -> None:
    """A forged question would count as a promise, and stand in the audit log."""
    pair = authority.issue("collector")
    open_to_all = AdmissionSettings(port=free_port(), certificate=pair.certificate, key=pair.key)
    with (
        pytest.raises(ConfigError, match="client_ca"),
        running(msgspec.structs.replace(settings(tmp_path / "ledger"), admission=open_to_all)),
    ):
        pytest.fail("it listens")
