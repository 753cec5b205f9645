"""TLS and mutual TLS with real certificates: who has none of the right authority is not even heard."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from collector.access import secrets
from collector.app import running
from collector.config import CollectorSettings, TlsSettings
from gpuledger.client import JSON, ClientTls, CollectorClient
from gpuledger.errors import ConfigError, TerminalDeliveryError, TransientDeliveryError
from gpuledger.tokens import find_token, left_here
from tests.collector.batches import minutes
from tests.collector.certificates import Authority
from tests.collector.test_collector_api import settings


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "ours")


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "another")


def served(folder: Path, tls: TlsSettings) -> CollectorSettings:
    given = settings(folder)
    return CollectorSettings(given.server, given.ledger, given.ingest, tls=tls)


@pytest.fixture
def mutual(tmp_path: Path, authority: Authority) -> Iterator[str]:
    """Serve to those who have a certificate, and bind agents to theirs."""
    server = authority.issue("collector")
    tls = TlsSettings(server.certificate, server.key, authority.file, bind_agents=True)
    with running(served(tmp_path / "ledger", tls)) as url:
        yield url


def status(url: str, tls: ClientTls) -> int:
    client = CollectorClient(url, token=find_token(url), tls=tls, timeout_s=5)
    try:
        return len(client.get_json("/v1/status"))
    finally:
        client.close()


def test_tls_is_spoken_and_the_server_is_checked(tmp_path: Path, authority: Authority, stranger: Authority) -> None:
    """A client that trusts another authority sends nothing; nor does the server speak plain HTTP."""
    server = authority.issue("collector")
    with running(served(tmp_path / "ledger", TlsSettings(server.certificate, server.key))) as url:
        assert url.startswith("https://127.0.0.1:")
        assert status(url, ClientTls(authority.file))
        for tls in (ClientTls(stranger.file), ClientTls()):
            with pytest.raises(TransientDeliveryError, match="certificate verify failed"):
                status(url, tls)
        with pytest.raises(TransientDeliveryError):
            status(url.replace("https", "http"), ClientTls())


def test_without_a_certificate_of_the_authority_nobody_is_heard(
    mutual: str, authority: Authority, stranger: Authority
) -> None:
    """Whatever token they have."""
    known, other = authority.issue("somebody"), stranger.issue("somebody")
    assert status(mutual, ClientTls(authority.file, *known))
    for tls in (ClientTls(authority.file), ClientTls(authority.file, *other)):
        with pytest.raises(TransientDeliveryError):
            status(mutual, tls)


def test_an_agent_is_bound_to_its_certificate(mutual: str, authority: Authority) -> None:
    """A token that was stolen is of no use with another certificate, and nobody enrols in another's name."""
    join, token = left_here(mutual, "join"), secrets.make()
    mine, other = (ClientTls(authority.file, *authority.issue(name)) for name in ("node-a", "node-b"))
    asked = msgspec.json.encode({"agent": "node-a", "digest": sha256(token.encode()).hexdigest()})
    with pytest.raises(TerminalDeliveryError, match="certificate is not that of agent node-a"):
        CollectorClient(mutual, token=join, tls=other).post("/v1/agents", asked, JSON)
    assert CollectorClient(mutual, token=join, tls=mine).post("/v1/agents", asked, JSON)["agent"] == "node-a"
    with pytest.raises(TerminalDeliveryError, match="certificate is not that of agent node-a"):
        CollectorClient(mutual, token=token, tls=other).post_batch(minutes(0))
    assert CollectorClient(mutual, token=token, tls=mine).post_batch(minutes(0)).rows == 10


@pytest.mark.parametrize("given", [{"certificate": "a"}, {"key": "a"}, {"client_ca": "a"}, {"bind_agents": True}])
def test_settings_that_close_nothing_are_refused(given: dict[str, object]) -> None:
    """Half of a pair, or a client CA without TLS, would look like more than it is."""
    with pytest.raises(ConfigError):
        TlsSettings(**{name: Path(value) if isinstance(value, str) else value for name, value in given.items()})  # type: ignore[arg-type]


def test_files_that_do_not_match_stop_the_start(tmp_path: Path, authority: Authority) -> None:
    """With the reason, before anything listens."""
    one, two = authority.issue("one"), authority.issue("two")
    with (
        pytest.raises(ConfigError, match=r"\[tls\]"),
        running(served(tmp_path / "ledger", TlsSettings(one.certificate, two.key))),
    ):
        pass
