"""The collector's client sorts every outcome into an answer, try again, or never again."""

from __future__ import annotations

import threading

import pytest

from gpuledger.client import BatchReceipt, CollectorClient
from gpuledger.errors import ConfigError, TerminalDeliveryError, TransientDeliveryError
from gpuledger.wire import MEDIA_TYPE
from tests.agent.scripted_server import Answer, Request, closed_port, problem, receipt, serving


def test_a_batch_is_posted_with_its_media_type_and_token() -> None:
    """A frame goes out as it is, with the schema's media type and the bearer token, and its receipt comes back."""
    with serving(lambda _: receipt(7, rows=3)) as server:
        client = CollectorClient(server.url, token="secret")
        assert client.post_batch(b"frame") == BatchReceipt("node-a", "b", 7, 3, duplicate=False)
        client.close()
    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("POST", "/v1/batches", b"frame")
    assert request.headers["content-type"] == MEDIA_TYPE
    assert request.headers["authorization"] == "Bearer secret"


def test_a_duplicate_is_a_success() -> None:
    """A batch that the collector had already is delivered."""
    with serving(lambda _: receipt(7, duplicate=True)) as server:
        assert CollectorClient(server.url).post_batch(b"frame").duplicate is True


def test_one_connection_serves_many_requests() -> None:
    """Requests of one client share a connection."""
    with serving(lambda _: receipt(1)) as server:
        client = CollectorClient(server.url)
        for _ in range(3):
            client.post_batch(b"frame")
        client.close()
    assert len({request.client_port for request in server.requests}) == 1


def test_an_idle_connection_that_the_server_closed_is_replaced_silently() -> None:
    """A server that closed a kept connection costs a new connection, not an error."""
    with serving(lambda _: receipt(1)) as server:
        client = CollectorClient(server.url)
        client.post_batch(b"frame")
        server.answer = lambda request: (
            receipt(2) if request.client_port != server.requests[0].client_port else Answer(hang_up=True)
        )
        assert client.post_batch(b"frame").sequence == 2
        client.close()


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_overload_and_faults_are_worth_trying_again(status: int) -> None:
    """Statuses that speak of the moment, not of the request, are transient."""
    with serving(lambda _: problem(status, "not now")) as server, pytest.raises(TransientDeliveryError) as raised:
        CollectorClient(server.url).post_batch(b"frame")
    assert raised.value.status == status
    assert "not now" in raised.value.message
    assert raised.value.hint == "read the log"


@pytest.mark.parametrize(("header", "expected"), [("7", 7.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-3", None)])
def test_retry_after_is_passed_on_in_seconds(header: str, expected: float | None) -> None:
    """The collector's wish to be left alone for some seconds is on the error; what is not seconds is not guessed at."""
    with (
        serving(lambda _: problem(503, "busy", Retry_After=header)) as server,
        pytest.raises(TransientDeliveryError) as raised,
    ):
        CollectorClient(server.url).post_batch(b"frame")
    assert raised.value.retry_after_s == expected


def test_the_case_of_a_header_does_not_matter() -> None:
    """Servers that write header names in lower case are understood."""
    with (
        serving(lambda _: problem(429, "busy", retry_after="5")) as server,
        pytest.raises(TransientDeliveryError) as raised,
    ):
        CollectorClient(server.url).post_batch(b"frame")
    assert raised.value.retry_after_s == 5.0


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 413, 422])
def test_a_refusal_is_terminal(status: int) -> None:
    """Statuses that speak of the request are terminal, with the collector's own words."""
    with (
        serving(lambda _: problem(status, "shares do not sum")) as server,
        pytest.raises(TerminalDeliveryError, match="shares do not sum") as raised,
    ):
        CollectorClient(server.url).post_batch(b"frame")
    assert raised.value.status == status


def test_an_error_page_that_is_no_problem_document_is_still_quoted() -> None:
    """A proxy's page is shown as it came."""
    with (
        serving(lambda _: Answer(502, b"<h1>Bad Gateway</h1>")) as server,
        pytest.raises(TransientDeliveryError, match="Bad Gateway"),
    ):
        CollectorClient(server.url).post_batch(b"frame")


def test_an_answer_that_is_no_receipt_delivers_nothing() -> None:
    """A 200 from something that is not a collector must not make the agent forget a batch."""
    with (
        serving(lambda _: Answer(200, b"<html>welcome</html>")) as server,
        pytest.raises(TransientDeliveryError, match="not a receipt"),
    ):
        CollectorClient(server.url).post_batch(b"frame")


def test_nobody_listening_is_transient() -> None:
    """A refused connection says which address, and what to do."""
    url = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(TransientDeliveryError, match=url) as raised:
        CollectorClient(url).post_batch(b"frame")
    assert "gpuledger collector" in raised.value.hint


def test_a_server_that_hangs_up_is_transient() -> None:
    """A connection closed instead of an answer is no answer."""
    with serving(lambda _: Answer(hang_up=True)) as server, pytest.raises(TransientDeliveryError):
        CollectorClient(server.url).post_batch(b"frame")


def test_a_time_out_is_transient() -> None:
    """A collector that does not answer in time is tried again later; the client does not wait for ever."""
    release = threading.Event()

    def late(_: Request) -> Answer:
        release.wait(5)
        return receipt(1)

    with serving(late) as server:
        with pytest.raises(TransientDeliveryError, match="timed out"):
            CollectorClient(server.url, timeout_s=0.05).post_batch(b"frame")
        release.set()


def test_reading_a_resource_sends_its_parameters_and_format() -> None:
    """A resource is asked for with a query string and the wanted media type."""
    with serving(lambda _: Answer(200, b"key,cost\n")) as server:
        client = CollectorClient(server.url + "/behind/a/proxy/")
        assert client.get("/v1/chargeback", {"by": "team", "period": "2026-01"}, accept="text/csv") == b"key,cost\n"
    (request,) = server.requests
    assert request.path == "/behind/a/proxy/v1/chargeback?by=team&period=2026-01"
    assert request.headers["accept"] == "text/csv"


def test_json_comes_back_as_values() -> None:
    """A JSON answer is decoded; one that is not JSON is an error, not a string."""
    with serving(lambda _: Answer(200, b'{"ok": true}')) as server:
        client = CollectorClient(server.url)
        assert client.get_json("/v1/reconcile") == {"ok": True}
        server.answer = lambda _: Answer(200, b"hello")
        with pytest.raises(TransientDeliveryError, match="JSON"):
            client.get_json("/v1/reconcile")


def test_documents_are_posted_with_their_type() -> None:
    """A price book is sent as the document it is."""
    with serving(lambda _: Answer(200, b'{"entries": 2}')) as server:
        answer = CollectorClient(server.url).post("/v1/prices", b"currency = 'EUR'", "application/toml")
    assert answer == {"entries": 2}
    assert server.requests[0].headers["content-type"] == "application/toml"


@pytest.mark.parametrize("url", ["collector:8470", "ftp://collector", "http://", "http://host:99999", "http://h/?a=b"])
def test_an_address_that_cannot_be_used_is_a_configuration_error(url: str) -> None:
    """A mistyped address is found at the start, with an example of a right one."""
    with pytest.raises(ConfigError) as raised:
        CollectorClient(url)
    assert "127.0.0.1:8470" in raised.value.hint


@pytest.mark.parametrize("body", [b'{"agent": "\xff"}', b'{"x":' * 50_000, b"<html>It works!</html>", b""])
def test_bytes_that_are_no_receipt_deliver_nothing(body: bytes) -> None:
    """Whatever bytes answer a batch, it is not delivered and may be tried again."""
    with serving(lambda _: Answer(200, body)) as server, pytest.raises(TransientDeliveryError, match="not a receipt"):
        CollectorClient(server.url).post_batch(b"frame")


@pytest.mark.parametrize("body", [b'{"detail": "\xff"}', b'{"x":' * 50_000])
def test_an_error_that_is_no_document_is_still_an_error(body: bytes) -> None:
    """Whatever bytes come with an error status, its number decides; no code is made up."""
    with serving(lambda _: Answer(502, body)) as server, pytest.raises(TransientDeliveryError) as raised:
        CollectorClient(server.url).get("/v1/status")
    assert (raised.value.status, raised.value.code) == (502, "")


def test_the_collectors_own_code_comes_with_its_refusal() -> None:
    """A problem document's code tells a refusal of the collector from the answer of somebody else."""
    with (
        serving(lambda _: problem(409, "differs", code="conflict")) as server,
        pytest.raises(TerminalDeliveryError) as e,
    ):
        CollectorClient(server.url).post_batch(b"frame")
    assert e.value.code == "conflict"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/ü", "http://127.0.0.1:1/a b", "http://[::1", "http://h\n:1"])
def test_an_address_that_no_request_takes_is_refused_at_the_start(url: str) -> None:
    """What could never be sent is a wrong setting, not an outage."""
    with pytest.raises(ConfigError):
        CollectorClient(url)


@pytest.mark.parametrize("token", ["two\nlines", "two words", "tökén"])
def test_a_token_that_no_header_takes_is_refused_at_the_start(token: str) -> None:
    """A token file with more than the token in it is said before the first request; the token itself is not."""
    with pytest.raises(ConfigError) as raised:
        CollectorClient(token=token)
    assert token not in str(raised.value)


def test_a_host_name_that_cannot_be_one_is_an_outage() -> None:
    """A name with a part that is too long resolves to nothing, as any wrong name does."""
    with pytest.raises(TransientDeliveryError, match="does not answer"):
        CollectorClient(f"http://{'a' * 70}.example:1").post_batch(b"frame")
