"""Containers are named by their runtime: real Unix sockets, real bundles, and patience that ends."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from agent.config import ContainersSection
from agent.holders.containers import ContainerNames, ContainerSource, InMemoryContainers
from agent.holders.pods import InMemoryPods, PodName
from agent.holders.processes import InMemoryProcesses
from agent.holders.resolve import HolderResolver
from agent.holders.runtimes import bundles, container_names, is_usable_socket, parse_inspection, runtime_socket
from agent.identity.facts import ContainerFacts
from gpuledger.errors import HolderError
from tests.agent.nodes import CONTAINER, POD_UID, process

SECRET = "hf_" + "Qz7" * 11
LABELS = ("com.docker.compose.project", "com.docker.compose.service", "team")
INSPECTED = {
    "Id": CONTAINER,
    "Name": "/lab-trainer-1",
    "Config": {
        "Image": "registry.example.com/ml/train:1.4",
        "Env": [f"HF_TOKEN={SECRET}"],
        "Cmd": ["train", "--token", SECRET],
        "Labels": {
            "com.docker.compose.project": "lab", "com.docker.compose.service": "trainer", "team": "vision",
            "maintainer": "x", "secret": SECRET,
        },
    },
}  # fmt: skip
FOUND = ContainerFacts(
    CONTAINER,
    "docker",
    "lab-trainer-1",
    "registry.example.com/ml/train:1.4",
    labels={"com.docker.compose.project": "lab", "com.docker.compose.service": "trainer", "team": "vision"},
)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def runtime(path: Path, answer: Callable[[str], tuple[int, bytes]]) -> Iterator[list[str]]:
    """Serve a runtime's API at a Unix socket."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_: object) -> None:
            pass

    with Server(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield asked
        finally:
            server.shutdown()


def inspected(path: str) -> tuple[int, bytes]:
    return (200, json.dumps(INSPECTED).encode()) if CONTAINER in path else (404, b'{"message": "no such container"}')


def docker(path: Path) -> ContainerSource:
    return runtime_socket("docker", path, lambda: LABELS)


def test_a_container_is_named_by_dockers_socket(tmp_path: Path) -> None:
    """Name, image and the labels that rules look at; nothing of its environment or command, nothing twice."""
    path = tmp_path / "docker.sock"
    with runtime(path, inspected) as asked:
        names = ContainerNames([docker(path)])
        assert [names.find(CONTAINER), names.find(CONTAINER)] == [FOUND, FOUND]
    assert asked == [f"/containers/{CONTAINER}/json"]
    assert SECRET not in repr(names.__dict__)


def test_a_container_that_the_runtime_does_not_know_is_none_for_a_while(tmp_path: Path) -> None:
    """It is asked for again later: it may have been too new."""
    clock = [0.0]
    path = tmp_path / "docker.sock"
    with runtime(path, inspected) as asked:
        names = ContainerNames([docker(path)], now=lambda: clock[0])
        assert [names.find("b" * 64), names.find("b" * 64)] == [None, None]
        assert len(asked) == 1
        clock[0] = 31.0
        names.find("b" * 64)
    assert len(asked) == 2


def test_what_is_no_container_id_is_never_asked_for(tmp_path: Path) -> None:
    """An id comes from a cgroup's name: it does not become part of a request unless it is one."""
    path = tmp_path / "docker.sock"
    with runtime(path, inspected) as asked:
        assert docker(path).find("../../images/json?") is None
        assert bundles("containerd", str(tmp_path / "{id}/config.json"), lambda: LABELS).find("../etc") is None
    assert asked == []


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [(500, b"", "answers 500"), (200, b"<html>", "no description"), (200, b'{"Name": 3}', "no description")],
)
def test_an_answer_that_helps_nobody_is_an_error_once(
    tmp_path: Path, status: int, body: bytes, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A runtime in trouble is left alone for half a minute, and that is said and counted."""
    clock = [0.0]
    path = tmp_path / "docker.sock"
    with runtime(path, lambda _: (status, body)) as asked:
        names = ContainerNames([docker(path)], now=lambda: clock[0])
        with pytest.raises(HolderError, match=message):
            names.find(CONTAINER)
        with pytest.raises(HolderError, match="a moment ago"):
            names.find(CONTAINER)
        assert (len(asked), names.failed) == (1, 1)
        clock[0] = 31.0
        with pytest.raises(HolderError, match=message):
            names.find(CONTAINER)
    assert len(asked) == 2
    assert len(caplog.records) == 1


def test_a_runtime_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    """Half a second is all that it gets."""
    release = threading.Event()
    path = tmp_path / "docker.sock"

    def hang(_path: str) -> tuple[int, bytes]:
        release.wait(30)
        return 200, b"{}"

    with runtime(path, hang):
        with pytest.raises(HolderError, match="does not answer"):
            docker(path).find(CONTAINER)
        release.set()


def test_a_source_that_fails_does_not_hide_the_next(tmp_path: Path) -> None:
    """Docker's socket may be closed to us while containerd's bundles are open."""
    bundle = tmp_path / "moby" / CONTAINER
    bundle.mkdir(parents=True)
    (bundle / "config.json").write_text(json.dumps({"process": {"env": [f"HF_TOKEN={SECRET}"]}, "annotations": {}}))
    sources = [
        docker(tmp_path / "no.sock"),
        bundles("containerd", f"{tmp_path}/{{namespace}}/{{id}}/config.json", lambda: LABELS),
    ]
    found = ContainerNames(sources).find(CONTAINER)
    assert found == ContainerFacts(CONTAINER, "containerd", namespace="moby")


def test_a_pods_container_is_named_by_its_bundle(tmp_path: Path) -> None:
    """Containerd and CRI-O write the container's name into its annotations."""
    for folder, names in (
        (f"k8s.io/{CONTAINER}", {"io.kubernetes.cri.container-name": "main", "io.kubernetes.cri.image-name": "i:1"}),
        (f"overlay/{CONTAINER}/userdata", {"io.kubernetes.container.name": "main"}),
    ):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "config.json").write_text(json.dumps({"annotations": {**names, "team": "nlp"}}))
    containerd = bundles("containerd", f"{tmp_path}/{{namespace}}/{{id}}/config.json", lambda: LABELS)
    crio = bundles("cri-o", f"{tmp_path}/overlay/{{id}}/userdata/config.json", lambda: LABELS)
    assert containerd.find(CONTAINER) == ContainerFacts(
        CONTAINER, "containerd", "main", "i:1", "k8s.io", {"team": "nlp"}
    )
    assert crio.find(CONTAINER) == ContainerFacts(CONTAINER, "cri-o", "main", labels={"team": "nlp"})
    assert containerd.find("b" * 64) is None


def test_a_bundle_that_is_none_is_an_error(tmp_path: Path) -> None:
    """Damage is said, not taken for a container without a name."""
    (tmp_path / CONTAINER).mkdir()
    (tmp_path / CONTAINER / "config.json").write_text("{")
    with pytest.raises(HolderError, match="not what OCI describes"):
        bundles("containerd", f"{tmp_path}/{{id}}/config.json", lambda: LABELS).find(CONTAINER)


def test_only_runtimes_that_are_there_are_asked(tmp_path: Path) -> None:
    """A node without docker has no docker to ask; a site may switch all of it off."""
    away = ContainersSection(
        docker=tmp_path / "d", podman=tmp_path / "p", containerd=tmp_path / "c", crio=tmp_path / "o"
    )
    names = container_names(away, lambda: LABELS)
    assert names.find(CONTAINER) is None
    with runtime(tmp_path / "d", inspected):
        assert is_usable_socket(tmp_path / "d")
        assert container_names(away, lambda: LABELS).find(CONTAINER) == FOUND
        off = ContainersSection(enabled=False, docker=tmp_path / "d")
        assert container_names(off, lambda: LABELS).find(CONTAINER) is None
    (tmp_path / "p").touch()
    assert not is_usable_socket(tmp_path / "p")


def test_a_label_that_holds_a_secret_is_dropped() -> None:
    """Also where a rule asks for the label."""
    body = json.dumps({"Name": "/x", "Config": {"Image": "i", "Labels": {"team": SECRET}}}).encode()
    assert parse_inspection(body, CONTAINER, "docker", LABELS).labels == {}


def test_the_memory_of_containers_has_an_end() -> None:
    """Containers come and go; the oldest is forgotten."""
    names = ContainerNames([ContainerSource("given", ContainerFacts)])
    for number in range(600):
        names.find(f"{number:064x}")
    assert len(names._known) == 512


def held_by(cgroup: str, container: ContainerFacts, pods: dict[str, PodName] | None = None) -> HolderResolver:
    facts = process(1, cgroup)
    return HolderResolver(
        InMemoryProcesses({1: facts}),
        InMemoryPods(pods or {}),
        node="n",
        containers=InMemoryContainers({CONTAINER: container}),
    )


def test_a_plain_containers_name_stands_on_its_holder() -> None:
    """Its id stays the key: names are used again."""
    holder = held_by(f"0::/system.slice/docker-{CONTAINER}.scope\n", FOUND).resolve(1).holder
    assert (holder.key, holder.container, holder.team_claim) == (f"container:{CONTAINER}", "lab-trainer-1", "vision")
    assert holder.workload is not None
    assert (holder.workload.system, holder.workload.name) == ("compose", "lab/trainer")


def test_a_pod_with_two_containers_is_told_apart_by_the_runtime() -> None:
    """Where the kubelet's folders leave a choice, the runtime knows which container it is."""
    pods = {POD_UID: PodName("ns", "p", ("main", "sidecar"))}
    container = ContainerFacts(CONTAINER, "containerd", "main", namespace="k8s.io")
    holder = held_by(f"0::/kubepods/pod{POD_UID}/{CONTAINER}\n", container, pods).resolve(1).holder
    assert (holder.key, holder.container) == (f"pod:{POD_UID}/main", "main")


def test_a_runtime_that_does_not_answer_is_asked_again_at_the_next_reading() -> None:
    """The holder is known at once; its name follows."""

    class Slow:
        answers: ContainerFacts | None = None

        def find(self, container_id: str) -> ContainerFacts | None:
            if self.answers is None:
                raise HolderError("not now")
            return self.answers

    slow = Slow()
    facts = process(1, f"0::/docker/{CONTAINER}\n")
    resolver = HolderResolver(InMemoryProcesses({1: facts}), InMemoryPods({}), node="n", containers=slow)
    assert resolver.resolve(1).holder.container == ""
    assert resolver.failures()["container_unreadable"] == 1
    slow.answers = FOUND
    resolver.begin_reading()
    assert resolver.resolve(1).holder.container == "lab-trainer-1"
