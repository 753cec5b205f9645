"""The list and watch of this node's pods, against a server that behaves as kube-apiserver does."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.holders.kubernetes.api import ApiEndpoint, ApiError, ApiServer
from agent.holders.kubernetes.pod_store import PodStore
from agent.holders.kubernetes.watch import PODS, PodWatch
from gpuledger.errors import ConfigError
from tests.agent.kubernetes_api import KubernetesApi, pod, self_signed, serving_api
from tests.waiting import until


class Waited(PodStore):
    """A store that a test can wait on."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition()

    def replace(self, pods):  # type: ignore[no-untyped-def]
        super().replace(pods)
        self._tell()

    def put(self, pod):  # type: ignore[no-untyped-def]
        super().put(pod)
        self._tell()

    def remove(self, pod):  # type: ignore[no-untyped-def]
        super().remove(pod)
        self._tell()

    def wait_for(self, condition: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, 10)

    def _tell(self) -> None:
        with self.changed:
            self.changed.notify_all()


@pytest.fixture
def api() -> KubernetesApi:
    return KubernetesApi()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("token-1\n")
    return path


@contextmanager
def watching(api: KubernetesApi, token: Path) -> Iterator[tuple[Waited, PodWatch]]:
    with serving_api(api) as url:
        store = Waited()
        watch = PodWatch(ApiServer(ApiEndpoint(url, token), timeout_s=5), "node-a", store, first_pause_s=0.01)
        watch.start()
        try:
            yield store, watch
        finally:
            watch.close()


def test_pods_are_listed_once_and_then_followed(api: KubernetesApi, token: Path) -> None:
    """Pods come, change and go as they do at the server, by one list and one watch."""
    api.put(pod("old", "uid-old", labels={"team": "a"}))
    with watching(api, token) as (store, watch):
        store.wait_for(lambda: store.get("uid-old"))
        api.wait_for(lambda: api.watching == 1)
        api.put(pod("new", "uid-new"))
        store.wait_for(lambda: store.get("uid-new"))
        api.put(pod("old", "uid-old", labels={"team": "b"}))
        store.wait_for(lambda: store.get("uid-old").labels == {"team": "b"})  # type: ignore[union-attr]
        api.delete("uid-new")
        store.wait_for(lambda: store.ended("uid-new"))
        assert store.get("uid-new") is None
        assert len(store) == 1
        assert (watch.lists, watch.watches) == (1, 1)
        assert watch.silent_s() == 0.0


def test_only_this_nodes_running_pods_are_asked_for_metadata_only(api: KubernetesApi, token: Path) -> None:
    """The selector, the first list from whatever is at hand, the partial form; other nodes' and ended pods never come."""
    api.put(pod("here", "uid-here"))
    api.put(pod("elsewhere", "uid-elsewhere", node="node-b"))
    api.put(pod("done", "uid-done", phase="Succeeded"))
    with watching(api, token) as (store, _):
        api.wait_for(lambda: api.watching == 1)
        assert store.get("uid-here") is not None
        assert len(store) == 1
    (_, listed, accept), (_, watched, _) = api.asked(PODS)
    assert listed["resourceVersion"] == "0"
    assert listed["fieldSelector"] == "spec.nodeName=node-a,status.phase!=Succeeded,status.phase!=Failed"
    assert watched["fieldSelector"] == listed["fieldSelector"]
    assert accept.startswith("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,")


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_finished_has_ended(api: KubernetesApi, token: Path, phase: str) -> None:
    """Its object may stay at the server for days: it leaves the watch when its phase says so."""
    api.put(pod("job", "uid-job"))
    with watching(api, token) as (store, _):
        api.wait_for(lambda: api.watching == 1)
        api.put(pod("job", "uid-job", phase=phase))
        store.wait_for(lambda: store.ended("uid-job"))


def test_a_broken_watch_goes_on_where_it_was(api: KubernetesApi, token: Path) -> None:
    """What happened meanwhile is not missed, and nothing is listed again; a bookmark counts as progress."""
    with watching(api, token) as (store, watch):
        api.wait_for(lambda: api.watching == 1)
        api.put(pod("a", "uid-a"))
        store.wait_for(lambda: store.get("uid-a"))
        api.bookmark()
        at = str(api.version)
        api.break_watches()
        api.put(pod("b", "uid-b"))
        store.wait_for(lambda: store.get("uid-b"))
        assert watch.lists == 1
    assert api.asked("watch")[-1][1]["resourceVersion"] in (at, str(int(at) - 1))


def test_a_version_that_is_gone_leads_to_one_new_list(api: KubernetesApi, token: Path) -> None:
    """410 within the stream: listed again, and pods that left meanwhile have ended."""
    api.put(pod("a", "uid-a"))
    with watching(api, token) as (store, watch):
        api.wait_for(lambda: api.watching == 1)
        with api.changed:
            del api.pods["uid-a"]
        api.put(pod("b", "uid-b"))
        api.compact()
        store.wait_for(lambda: store.ended("uid-a"))
        store.wait_for(lambda: store.get("uid-b"))
        api.wait_for(lambda: len(api.asked("watch")) == 2)
        assert watch.lists == 2
        assert watch.error is None


def test_a_watch_that_is_refused_as_too_old_leads_to_one_new_list(api: KubernetesApi, token: Path) -> None:
    """410 as the status of the answer means the same."""
    with watching(api, token) as (store, watch):
        api.wait_for(lambda: api.watching == 1)
        with api.changed:
            api.version += 10
            api.compacted = api.version
        api.break_watches()
        api.wait_for(lambda: api.watching == 1 and len(api.asked("watch")) >= 3)
        assert watch.lists == 2
        assert store.get("uid-a") is None


def test_a_database_that_was_restored_does_not_lock_the_agent_out(api: KubernetesApi, token: Path) -> None:
    """Versions that went backwards are beyond the server's: the list is asked for without one."""
    api.version = 1_000
    with watching(api, token) as (store, watch):
        api.wait_for(lambda: api.watching == 1)
        with api.changed:
            api.version, api.history, api.compacted = 10, [], 2_000
        api.put(pod("a", "uid-a"))
        api.break_watches()
        store.wait_for(lambda: store.get("uid-a"))
        api.compacted = 0
        api.wait_for(lambda: api.watching == 1)
        assert watch.lists >= 2


def test_a_rotated_token_is_read_again(api: KubernetesApi, token: Path) -> None:
    """The old token is refused after a rotation; the file has the new one, and the watch goes on."""
    with watching(api, token) as (store, watch):
        api.wait_for(lambda: api.watching == 1)
        api.tokens = {"token-2"}
        api.break_watches()
        api.wait_for(lambda: len(api.asked("watch")) >= 3)
        token.write_text("token-2")
        api.wait_for(lambda: api.watching == 1)
        api.put(pod("a", "uid-a"))
        store.wait_for(lambda: store.get("uid-a"))
        assert watch.lists == 1
        assert watch.error is None


def test_a_server_that_fails_is_asked_less_and_less_and_said_once(
    api: KubernetesApi, token: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No storms: pauses double; the failure stands in the state with its hint until it is over."""
    api.failing = 403
    with caplog.at_level(logging.WARNING), watching(api, token) as (_, watch):
        api.wait_for(lambda: len(api.requests) >= 4)
        assert watch.error is not None
        assert watch.error.status == 403
        assert "role" in watch.error.hint
        assert watch.silent_s() is None
        watch._failures = 4
        pauses = [watch._pause_s() for _ in range(50)]
        assert min(pauses) >= 0.005 * 2**3
        assert len(set(pauses)) > 1
        watch._failures = 1_000
        assert watch._pause_s() <= 60
        watch._failures = 1
        api.failing = None
        api.wait_for(lambda: api.watching == 1)
        assert watch.error is None
    assert caplog.text.count("are not known from the API server") == 1


def test_a_server_that_ends_every_watch_at_once_is_not_asked_without_pause(api: KubernetesApi, token: Path) -> None:
    """An empty answer to a watch is followed by a pause each time."""
    api.ends_watches_at_once = True
    with serving_api(api) as url:
        watch = PodWatch(ApiServer(ApiEndpoint(url, token)), "node-a", PodStore(), first_pause_s=0.2)
        began = time.monotonic()
        watch.start()
        api.wait_for(lambda: len(api.asked("watch")) >= 4)
        assert time.monotonic() - began >= 3 * 0.1
        watch.close()


def test_a_server_that_knows_no_partial_form_will_do(api: KubernetesApi, token: Path) -> None:
    """Whole pods are read for their metadata; nothing else of them is kept."""
    api.understands_partial = False
    api.put(pod("a", "uid-a", labels={"team": "a"}))
    with watching(api, token) as (store, _):
        store.wait_for(lambda: store.get("uid-a"))
        assert "hunter2" not in repr(store.get("uid-a"))


def test_the_thread_ends_when_told(api: KubernetesApi, token: Path) -> None:
    """Closing does not wait for the server to end the watch."""
    with watching(api, token) as (_, watch):
        api.wait_for(lambda: api.watching == 1)
        watch.close()
        assert watch._thread is not None
        assert not watch._thread.is_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_is_started_again(api: KubernetesApi, token: Path) -> None:
    """What nobody foresaw ends one attempt, not the view of the API server for good."""

    class Failing(PodStore):
        failed = 0

        def replace(self, pods: object) -> None:
            self.failed += 1
            if self.failed == 1:
                raise RuntimeError("nobody foresaw this")

    with serving_api(api) as url:
        watch = PodWatch(ApiServer(ApiEndpoint(url, token)), "node-a", Failing())
        watch.start()
        until(lambda: watch._thread is not None and not watch._thread.is_alive())
        watch.start()
        api.wait_for(lambda: api.watching == 1)
        watch.start()
        assert watch.lists == 1
        watch.close()
        watch.start()
        assert not watch._thread.is_alive()  # type: ignore[union-attr]


def test_tls_is_checked_against_the_clusters_certificate(api: KubernetesApi, token: Path, tmp_path: Path) -> None:
    """With the cluster's certificate the list comes and a watch can be ended; with another the server is not believed."""
    certificate = self_signed(tmp_path)
    api.put(pod("a", "uid-a"))
    with serving_api(api, certificate) as url:
        store = Waited()
        watch = PodWatch(ApiServer(ApiEndpoint(url, token, certificate)), "node-a", store)
        watch.start()
        api.wait_for(lambda: api.watching == 1)
        store.wait_for(lambda: store.get("uid-a"))
        watch.close()
        assert watch._thread is not None
        assert not watch._thread.is_alive()
        (tmp_path / "other").mkdir()
        other = ApiServer(ApiEndpoint(url, token, self_signed(tmp_path / "other")))
        with pytest.raises(ApiError, match="CERTIFICATE_VERIFY_FAILED"):
            other.get(PODS)


def test_the_endpoint_comes_from_the_settings_or_the_pods_environment() -> None:
    """What is configured wins; a pod's environment names the rest; outside of a pod there is none."""
    env = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
    found = ApiEndpoint.of("", None, None, env)
    assert found is not None
    assert found.url == "https://10.96.0.1:6443"
    assert str(found.token_file) == "/var/run/secrets/kubernetes.io/serviceaccount/token"
    six = ApiEndpoint.of("", None, None, {"KUBERNETES_SERVICE_HOST": "fd00::1"})
    assert six is not None
    assert six.url == "https://[fd00::1]:443"
    chosen = ApiEndpoint.of("http://127.0.0.1:8001", Path("/t"), Path("/c"), env)
    assert chosen == ApiEndpoint("http://127.0.0.1:8001", Path("/t"), Path("/c"))
    assert ApiEndpoint.of("", None, None, {}) is None
    with pytest.raises(ConfigError, match="api_url"):
        ApiServer(ApiEndpoint("10.0.0.1:6443"))


def test_a_token_that_is_none_is_an_error_and_no_header(api: KubernetesApi, token: Path) -> None:
    """A file with anything but one word cannot smuggle lines into a request."""
    token.write_text("a\r\nX-Evil: 1")
    with serving_api(api) as url, pytest.raises(ApiError, match="holds no token"):
        ApiServer(ApiEndpoint(url, token)).get(PODS)
    assert api.requests == []


def test_the_token_goes_to_nobody_who_could_be_listened_to(token: Path) -> None:
    """Over plain HTTP it is shown on this machine only."""
    urls = ["https://10.0.0.1", "http://127.0.0.1:8001", "http://localhost:8001", "http://10.0.0.1"]
    shown = ["Authorization" in ApiServer(ApiEndpoint(url, token))._headers("a") for url in urls]
    assert shown == [True, True, True, False]
