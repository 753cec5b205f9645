"""Admission over HTTP: what kube-apiserver and Slurm send, what they are told, and what is kept of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collector.app import running
from collector.config import AdmissionSettings
from gpuledger.clock import Clock, VirtualClock
from tests.collector.batches import START_US
from tests.collector.reviews import Object, container, pod, pod_spec, review, sent
from tests.collector.test_collector_api import OWNERS, Answer, Site, settings
from tests.waiting import until

NLP = OWNERS.replace(b"team-1", b"nlp").replace(b"vision", b"nlp")


def site_with(folder: Path, clock: Clock | None = None, **admission: Any) -> Any:
    """Run a collector whose admission has these settings."""
    chosen = AdmissionSettings(**{"refresh_s": 1, **admission})
    return running(msgspec.structs.replace(settings(folder), admission=chosen), clock=clock)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_with(tmp_path) as url:
        yield Site(url)


def ask(site: Site, document: Object | bytes, path: str = "/v1/admission?timeout=10s") -> Answer:
    """Send a review as kube-apiserver does, which adds its timeout to the URL."""
    body = document if isinstance(document, bytes) else sent(document)
    return site.ask("POST", path, body, content_type="application/json", accept="application/json, */*")


def told(site: Site, document: Object) -> Object:
    """Return the response in the review that answers."""
    answer = ask(site, document)
    assert answer.status == 200, answer.body
    assert (answer.json["apiVersion"], answer.json["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert answer.json["response"]["uid"] == document["request"]["uid"]
    response: Object = answer.json["response"]
    return response


def kept(site: Site, count: int = 1, result: str = "") -> list[Object]:
    """Return the records of a result, once there are so many."""
    path = f"/v1/admissions?result={result}"
    return until(lambda: (rows := site.get(path).json["rows"])[count - 1 :] and rows, f"{count} records")


def ready(site: Site) -> None:
    until(lambda: b"gpuledger_admission_figures_age_seconds" in site.get("/metrics").body, "the first figures")


def test_without_limits_work_starts(site: Site) -> None:
    """Who has no budget and no rule is allowed, and it is on record who asked for what."""
    ready(site)
    assert told(site, review(pod(), uid="u1")) == {"uid": "u1", "allowed": True}
    [row] = kept(site)
    expected = {
        "source": "kubernetes", "uid": "u1", "kind": "Pod", "namespace": "nlp", "name": "train", "gpus": 1.0,
        "user": "ana@acme.example", "result": "allow", "answered": "allow", "mode": "shadow", "times": 1,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected


def test_pods_without_gpus_are_allowed_at_once_and_not_kept(site: Site) -> None:
    """Nearly all that a cluster sends is of no interest here."""
    assert told(site, review(pod(pod_spec(container())), uid="none")) == {"uid": "none", "allowed": True}
    ready(site)
    told(site, review(pod(), uid="some"))
    assert [row["uid"] for row in kept(site)] == ["some"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no AdmissionReview"),
        (b"{", "no AdmissionReview"),
        (b"\xff\xfe", "no AdmissionReview"),
        (b"[" * 200_000, "no AdmissionReview"),
        (b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}', "request"),
        (b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":7}}', "no AdmissionReview"),
        (sent(review(pod(), version="admission.k8s.io/v1beta1")), "v1beta1"),
        (sent(review(pod(), uid="")), "no uid"),
        (sent({**review(pod()), "kind": "ConversionReview"}), "ConversionReview"),
    ],
)
def test_what_cannot_be_answered_is_a_bad_request(site: Site, body: bytes, says: str) -> None:
    """There is no uid to answer to: kube-apiserver then does what its failurePolicy says. It is counted."""
    answer = ask(site, body)
    assert answer.status == 400
    assert says in answer.json["detail"]
    assert answer.json["code"] == "admission"
    assert b"gpuledger_admission_malformed_requests_total 1.0" in site.get("/metrics").body


def test_a_huge_review_is_refused_before_it_is_held(site: Site) -> None:
    """Beyond what etcd could hold of an object and its old state."""
    assert ask(site, b" " * (8 * 1024 * 1024 + 1)).status == 413


def deep() -> Object:
    value: Object = {"nvidia.com/gpu": 1}
    for _ in range(3_000):
        value = {"a": value}
    return value


@pytest.mark.parametrize("on_doubt", ["allow", "refuse"])
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_an_object_that_cannot_be_read_is_decided_by_the_settings(tmp_path: Path, mode: str, on_doubt: str) -> None:
    """Fail open or closed; a shadow never refuses, and says that nobody decided."""
    broken = review(pod(pod_spec(container(gpus="a lot"))), uid="b1")
    with site_with(tmp_path, mode=mode, on_doubt=on_doubt) as url:
        response = told(Site(url), broken)
    refused = mode == "enforce" and on_doubt == "refuse"
    assert response["allowed"] is not refused
    said = response["status"]["message"] if refused else response["warnings"][0]
    assert "is no quantity" in said


@pytest.mark.parametrize("on_doubt", ["allow", "refuse"])
def test_stale_figures_are_doubt(tmp_path: Path, on_doubt: str) -> None:
    """Figures that nobody could read for too long decide nothing; that is on record as undecided."""
    clock = VirtualClock(START_US)
    with site_with(tmp_path, clock, mode="enforce", on_doubt=on_doubt, stale_after_s=60, refresh_s=3_600) as url:
        site = Site(url)
        ready(site)
        assert told(site, review(pod(), uid="early"))["allowed"]
        clock.advance_to(START_US + 61_000_000)
        response = told(site, review(pod(), uid="late"))
        assert response["allowed"] is (on_doubt == "allow")
        assert "61 seconds ago" in str(response)
        rows = {row["uid"]: row for row in kept(site, 2)}
    assert rows["late"]["result"] == "unsure"
    assert rows["late"]["answered"] == ("allow" if on_doubt == "allow" else "refuse")


def test_the_same_request_asked_again_is_answered_the_same_and_kept_once(site: Site) -> None:
    """kube-apiserver may ask twice with one uid; a dry run leaves nothing."""
    ready(site)
    first, again = (told(site, review(pod(), uid="u1")) for _ in range(2))
    assert first == again
    told(site, review(pod(), uid="dry", dry_run=True))
    told(site, review(pod(name="other"), uid="u2"))
    assert {(row["uid"], row["times"]) for row in kept(site, 2)} == {("u1", 1), ("u2", 1)}


def test_off_answers_everything_with_yes(tmp_path: Path) -> None:
    """Nothing is read, nothing is kept, and the metrics of admission are absent."""
    with site_with(tmp_path, mode="off") as url:
        site = Site(url)
        assert told(site, review(pod(pod_spec(container(gpus="a lot"))), uid="o"))["allowed"]
        assert b"gpuledger_admission_figures_age" not in site.get("/metrics").body
        assert site.get("/v1/admissions").json["rows"] == []


def test_slurm_is_answered_in_lines(site: Site) -> None:
    """The result, then the message; a form that is none is a bad request."""
    form = {"content_type": "application/x-www-form-urlencoded"}
    ready(site)
    body = b"user=ana&account=nlp&partition=gpu&name=train%20it&tres_per_node=gres%3Agpu%3Ah100%3A2&nodes=2"
    answer = site.ask("POST", "/v1/admission/slurm", body, **form)
    assert (answer.status, answer.body.splitlines()[0]) == (200, b"allow")
    [row] = kept(site)
    assert (row["source"], row["user"], row["gpus"], row["models"]) == ("slurm", "ana", 4.0, "h100")
    for broken in (b"a", b"what=7", b"user=a&user=b", b"tres_per_job=gpu%3Ax%3Ay%3Az"):
        assert site.ask("POST", "/v1/admission/slurm", broken, **form).status == 400
