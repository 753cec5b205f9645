"""Unary calls against a real gRPC server on a real Unix socket."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.holders.kubernetes.grpc import UnixGrpc
from agent.holders.kubernetes.grpc_status import UNIMPLEMENTED, CallError, CallRefusedError
from agent.holders.kubernetes.podresources import GET_ALLOCATABLE, LIST, SERVICE
from tests.agent.kubelet_server import KubeletServer, grpc, kubelet_at, refusing

MIB = 2**20


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[KubeletServer]:
    with kubelet_at(tmp_path / "kubelet.sock") as server:
        yield server


@pytest.fixture
def client(kubelet: KubeletServer) -> Iterator[UnixGrpc]:
    found = UnixGrpc(kubelet.path)
    yield found
    found.close()


def call(client: UnixGrpc, method: str = LIST, timeout_s: float = 10.0) -> bytes:
    return bytes(client.call(method, b"", timeout_s=timeout_s))


def test_calls_share_one_connection(kubelet: KubeletServer, client: UnixGrpc) -> None:
    """Many calls of both methods are answered over the connection that the first one opened."""
    kubelet.list, kubelet.allocatable = b"listed", b"to give"
    for _ in range(20):
        assert (call(client), call(client, GET_ALLOCATABLE)) == (b"listed", b"to give")
    assert client.connections == 1


def test_an_empty_message_is_an_answer(client: UnixGrpc) -> None:
    """A node without any device answers with no bytes at all."""
    assert call(client) == b""


@pytest.mark.parametrize("size", [1, 16_384, 70_000, 5 * MIB, 20 * MIB])
def test_messages_of_any_size_arrive_whole(kubelet: KubeletServer, client: UnixGrpc, size: int) -> None:
    """Frames, windows and gRPC's own usual limit of 4 MiB do not show; a second one fits through the same connection."""
    kubelet.list = bytes(range(251)) * (size // 251 + 1)
    for _ in range(2):
        assert call(client, timeout_s=60) == kubelet.list


def test_a_message_above_the_limit_is_refused(kubelet: KubeletServer) -> None:
    """It is refused by the size that it announces, and the next call works."""
    client = UnixGrpc(kubelet.path, max_message_bytes=1_000)
    kubelet.list = bytes(1_001)
    with pytest.raises(CallError, match="1001 bytes") as refused:
        call(client)
    assert "max_message_bytes" in refused.value.hint
    kubelet.list = bytes(1_000)
    assert len(call(client)) == 1_000
    client.close()


def test_an_error_status_is_an_error_with_a_hint(kubelet: KubeletServer, client: UnixGrpc) -> None:
    """Code and message of the server are in it (also where they need escaping), and the connection stays good."""
    kubelet.list = refusing(grpc.StatusCode.RESOURCE_EXHAUSTED, "rate limit: 100 % überschritten")
    with pytest.raises(CallRefusedError, match="RESOURCE_EXHAUSTED: rate limit: 100 % überschritten") as refused:
        call(client)
    assert "limits how often" in refused.value.hint
    kubelet.list = b"better"
    assert call(client) == b"better"
    assert client.connections == 1


def test_a_method_that_the_kubelet_lacks_is_told_apart(client: UnixGrpc) -> None:
    """An older kubelet has no GetAllocatableResources: the status says so."""
    with pytest.raises(CallRefusedError) as refused:
        call(client, f"{SERVICE}/Missing")
    assert refused.value.status == UNIMPLEMENTED


def test_a_slow_kubelet_is_given_up_in_time(kubelet: KubeletServer, client: UnixGrpc) -> None:
    """The time-out holds for the whole call, and the call after it works."""
    kubelet.list = kubelet.wait_until_released
    began = time.monotonic()
    with pytest.raises(CallError, match=r"in time|DEADLINE_EXCEEDED"):
        call(client, timeout_s=0.2)
    assert time.monotonic() - began < 5
    kubelet.released.set()
    kubelet.list = b"awake"
    assert call(client) == b"awake"


def test_a_restarted_kubelet_is_called_on_its_new_socket(kubelet: KubeletServer, client: UnixGrpc) -> None:
    """The kept connection is of no use after a restart: the same call goes out on a new one and is answered."""
    kubelet.list = b"before"
    assert call(client) == b"before"
    for number in (2, 3):
        kubelet.restart()
        kubelet.list = b"after"
        assert call(client) == b"after"
        assert client.connections == number


def test_a_socket_made_anew_beside_a_living_one_is_used(
    tmp_path: Path, client: UnixGrpc, kubelet: KubeletServer
) -> None:
    """The old server may linger: who owns the path now is who is asked."""
    kubelet.list = b"old"
    assert call(client) == b"old"
    kubelet.path.rename(tmp_path / "old.sock")
    with kubelet_at(kubelet.path) as newer:
        newer.list = b"new"
        assert call(client) == b"new"


def test_no_socket_and_nobody_behind_it_are_told_with_the_next_step(tmp_path: Path) -> None:
    """A folder that is not mounted and a kubelet that is down are different errors."""
    with pytest.raises(CallError, match="No such file") as missing:
        call(UnixGrpc(tmp_path / "none.sock"))
    assert "mount the folder" in missing.value.hint
    path = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(CallError, match="refused") as down:
        call(UnixGrpc(path))
    assert "kubelet runs" in down.value.hint


@pytest.mark.parametrize(
    "says",
    [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", b"\xff" * 64],
    ids=["nothing", "http/1", "settings and then silence", "noise"],
)
def test_what_speaks_no_grpc_is_an_error(tmp_path: Path, says: bytes) -> None:
    """Another program behind the socket cannot hang or confuse the agent."""
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def speak() -> None:
            connected, _ = listening.accept()
            with connected:
                connected.sendall(says)
                if says.startswith(b"\x00"):
                    connected.recv(65_536)
                    connected.settimeout(5)
                    while connected.recv(65_536):
                        pass

        speaker = threading.Thread(target=speak, daemon=True)
        speaker.start()
        with contextlib.closing(UnixGrpc(path)) as client, pytest.raises(CallError):
            call(client, timeout_s=0.5)
        speaker.join(10)
    assert not speaker.is_alive()


def test_a_connection_is_not_kept_for_ever(kubelet: KubeletServer, client: UnixGrpc) -> None:
    """After a thousand calls a new one is opened: what the library remembers of each call stays bounded."""
    for _ in range(1_001):
        call(client)
    assert client.connections == 2


def test_a_server_that_retires_connections_is_followed(tmp_path: Path) -> None:
    """A server that ends each connection soon (GOAWAY) in the middle of calls: every call is answered all the same."""
    options = (("grpc.max_connection_age_ms", 50), ("grpc.max_connection_age_grace_ms", 5_000))
    with kubelet_at(tmp_path / "kubelet.sock", *options) as kubelet:
        kubelet.list = bytes(100_000)
        client = UnixGrpc(kubelet.path)
        deadline = time.monotonic() + 30
        while client.connections < 4:
            assert len(call(client)) == 100_000
            assert time.monotonic() < deadline
        client.close()


_FRAMES = st.lists(
    st.tuples(st.integers(0, 10), st.integers(0, 255), st.sampled_from([0, 1, 2, 3]), st.binary(max_size=60)),
    max_size=6,
)
_SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@given(_FRAMES, st.binary(max_size=30))
@example([(1, 4, 1, b"\x88\x00\x01x\x01\xff")], b"")  # a header that is not UTF-8
@settings(max_examples=150, deadline=None)
def test_hostile_frames_are_an_error_and_nothing_else(frames: list[tuple[int, int, int, bytes]], rest: bytes) -> None:
    """Frames of every type with any flags, stream and payload: the call ends with the one error, in time."""
    says = _SETTINGS + b"".join(
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
        for kind, flags, stream, payload in frames
    )
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
        path = Path(folder) / "hostile.sock"
        listening.bind(str(path))
        listening.listen()

        def speak() -> None:
            connected, _ = listening.accept()
            with connected, contextlib.suppress(OSError):
                connected.sendall(says + rest)
                connected.shutdown(socket.SHUT_WR)
                while connected.recv(65_536):
                    pass

        speaker = threading.Thread(target=speak, daemon=True)
        speaker.start()
        with contextlib.closing(UnixGrpc(path)) as client, pytest.raises(CallError):
            call(client)
        speaker.join(10)
        assert not speaker.is_alive()
