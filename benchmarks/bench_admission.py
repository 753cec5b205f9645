"""Admission: how long kube-apiserver waits for an answer at 200 requests a second, with and without ingest beside it.

Requests leave at fixed instants, whether the ones before were answered or not, and their time counts from that instant.
The baseline is `/healthz` of the same collector under the same load: what the server itself and this machine cost.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.bench_ingest import SERVE, _address, prepare
from collector.access import secrets
from gpuledger import wire
from gpuledger.tokens import read_token

CONNECTIONS: Final = 16
ADMISSION: Final = "/v1/admission"
FLEET_GPUS: Final = 10_000
GPUS_A_NODE: Final = 8
BATCH_EVERY_S: Final = 60


def main() -> None:
    """Print percentiles of answers, and their ratio to the baseline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=200, help="requests a second")
    parser.add_argument("--seconds", type=int, default=20)
    args = parser.parse_args()
    fleet = FLEET_GPUS / GPUS_A_NODE / BATCH_EVERY_S
    for name, batches_a_second, rows in (
        ("nothing beside it", 0.0, 0),
        (f"ingest of {FLEET_GPUS:,} GPUs, {fleet:.0f} batches/s", fleet, GPUS_A_NODE),
        ("ingest of 10 batches/s of 4,000 rows", 10.0, 4_000),
    ):
        with _collector() as (netloc, tokens), _ingest(netloc, tokens, batches_a_second, rows, args.seconds * 3):
            scheduler = _scheduler(netloc, read_token(tokens / "admin.token"))
            plain = _percentiles(netloc, scheduler, "/healthz", args.rate, args.seconds)
            asked = _percentiles(netloc, scheduler, ADMISSION, args.rate, args.seconds)
        print(f"{name}: p50 {asked[0]:.2f} ms, p99 {asked[1]:.2f} ms, most {asked[2]:.1f} ms;", end=" ")
        print(f"/healthz p99 {plain[1]:.2f} ms, ratio {asked[1] / plain[1]:.2f}")


@contextmanager
def _collector() -> Iterator[tuple[str, Path]]:
    """Serve a new ledger; yield its address and the folder of its first tokens."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-c", SERVE, str(Path(directory) / "ledger")]
        process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stderr=subprocess.DEVNULL)
        try:
            yield _address(process, Path(directory) / "ready"), Path(directory) / "ledger" / "access"
        finally:
            process.kill()
            process.wait()


@contextmanager
def _ingest(netloc: str, tokens: Path, batches_a_second: float, rows: int, seconds: int) -> Iterator[None]:
    """Send batches at a steady pace from a thread, until the block ends."""
    if not batches_a_second:
        yield
        return
    batches = prepare(int(batches_a_second * seconds) + 1, max(1, rows // GPUS_A_NODE))
    agents = _enrol(netloc, read_token(tokens / "join.token"), {batch.agent for batch in batches})
    frames = [(agents[batch.agent], wire.encode(batch)) for batch in batches]
    done = threading.Event()
    with ThreadPoolExecutor(4) as pool:
        parts = [pool.submit(_send_paced, netloc, frames[part::4], batches_a_second / 4, done) for part in range(4)]
        yield
        done.set()
        assert all(part.result() for part in parts), "nothing was ingested"


def _scheduler(netloc: str, admin: str) -> str:
    """Make the token that asks for admission; return it."""
    made = _post(netloc, admin, "/v1/tokens", {"role": "scheduler", "name": "kube-apiserver"})
    return str(made["secret"])


def _enrol(netloc: str, join: str, agents: set[str]) -> dict[str, str]:
    """Enrol the agents, each with a token of its own; return these by agent."""
    made = {agent: secrets.make() for agent in sorted(agents)}
    for agent, token in made.items():
        _post(netloc, join, "/v1/agents", {"agent": agent, "digest": secrets.digest(token).hex()})
    return made


def _post(netloc: str, token: str, path: str, body: dict[str, str]) -> dict[str, object]:
    connection = http.client.HTTPConnection(netloc, timeout=30)
    connection.request("POST", path, json.dumps(body), _headers(token, "application/json"))
    response = connection.getresponse()
    answer = response.read()
    assert response.status == 200, answer
    connection.close()
    found: dict[str, object] = json.loads(answer)
    return found


def _headers(token: str, media_type: str) -> dict[str, str]:
    return {"Content-Type": media_type, "Authorization": f"Bearer {token}"}


def _send_paced(netloc: str, frames: list[tuple[str, bytes]], rate: float, done: threading.Event) -> int:
    connection = http.client.HTTPConnection(netloc, timeout=120)
    next_s = time.perf_counter()
    sent = 0
    for token, frame in frames:
        next_s += 1 / rate
        if done.wait(max(0.0, next_s - time.perf_counter())):
            break
        connection.request("POST", "/v1/batches", frame, _headers(token, wire.MEDIA_TYPE))
        response = connection.getresponse()
        assert response.status == 200, response.read()
        response.read()
        sent += 1
    connection.close()
    return sent


def _percentiles(netloc: str, token: str, path: str, rate: int, seconds: int) -> tuple[float, float, float]:
    """Return the median, the 99th percentile and the most of the answers' times, in milliseconds."""
    begun_s = time.perf_counter() + 0.2
    due = iter([(number, begun_s + number / rate) for number in range(rate * seconds)])
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        asked = [pool.submit(_ask_on, netloc, token, path, due) for _ in range(CONNECTIONS)]
        times_s = sorted(time_s for each in asked for time_s in each.result())
    at = [times_s[int(len(times_s) * part)] for part in (0.5, 0.99)]
    return at[0] * 1e3, at[1] * 1e3, times_s[-1] * 1e3


def _ask_on(netloc: str, token: str, path: str, due: Iterator[tuple[int, float]]) -> list[float]:
    connection = http.client.HTTPConnection(netloc, timeout=30)
    connection.connect()
    times_s = []
    for number, due_s in due:
        body = _review(number) if path == ADMISSION else None
        time.sleep(max(0.0, due_s - time.perf_counter()))
        connection.request("GET" if body is None else "POST", path, body, _headers(token, "application/json"))
        response = connection.getresponse()
        answer = response.read()
        times_s.append(time.perf_counter() - due_s)
        assert response.status == 200, answer
    connection.close()
    return times_s


def _review(number: int) -> bytes:
    """Return a review of a pod with a GPU: 3 KB, as kube-apiserver sends it."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"train-{number}",
            "namespace": f"team-{number % 5}",
            "labels": {f"app.acme.example/label-{each}": "x" * 40 for each in range(12)},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "y" * 1_200},
        },
        "spec": {
            "containers": [{
                "name": "train",
                "image": "registry.acme.example/nlp/train:1.4",
                "env": [{"name": f"VARIABLE_{each}", "value": "z" * 20} for each in range(10)],
                "resources": {"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": "1"}},
            }],
            "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
        },
    }  # fmt: skip
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    request = {
        "uid": f"00000000-0000-0000-0000-{number:012d}",
        "kind": kind,
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": f"team-{number % 5}",
        "operation": "CREATE",
        "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
        "object": pod,
        "oldObject": None,
        "dryRun": False,
    }
    return json.dumps({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).encode()


if __name__ == "__main__":
    main()
