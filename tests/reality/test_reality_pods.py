"""Real pods of MLOps systems, served as an API server serves them, arrive with all the metadata that rules need."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.holders.kubernetes.api import ApiEndpoint, ApiServer
from agent.holders.kubernetes.labels import LabelFilter
from agent.holders.kubernetes.view import ApiView
from tests.agent.kubernetes_api import KubernetesApi, serving_api
from tests.waiting import until

_ROOT = Path(__file__).parents[2]
_DATA = Path(os.environ.get("GPULEDGER_REALITY_DATA", _ROOT.parent / "shared" / "data")) / "mlops_pods"


def real_pods() -> Iterator[dict[str, Any]]:
    """Yield every pod in the data; what only a running one has (UID, node, phase) is filled in where it lacks."""
    if not _DATA.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{_DATA} is missing: set GPULEDGER_REALITY_DATA")
        pytest.skip(f"no real data at {_DATA}: set GPULEDGER_REALITY_DATA")
    number = 0
    for path in sorted(_DATA.iterdir()):
        if path.suffix not in (".yaml", ".json"):
            continue
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            for one in (document or {}).get("items", [document]):
                if one and one.get("kind") == "Pod":
                    number += 1
                    found = json.loads(json.dumps(one, default=str))
                    found["metadata"].setdefault("uid", f"uid-{number}")
                    found["metadata"].setdefault("name", f"pod-{number}")
                    found["metadata"].setdefault("namespace", "default")
                    found.setdefault("spec", {}).setdefault("nodeName", "node-a")
                    found.setdefault("status", {}).setdefault("phase", "Running")
                    yield found


def test_every_real_pod_arrives_on_its_node_with_its_metadata(tmp_path: Path) -> None:
    """For each node: exactly its running pods, with the labels, annotations and controller that the files have."""
    pods = list(real_pods())
    assert len(pods) >= 15
    api = KubernetesApi()
    for pod in pods:
        api.put(pod)
    (tmp_path / "token").write_text("token-1")
    with serving_api(api) as url:
        for node in {pod["spec"]["nodeName"] for pod in pods}:
            expected = {
                pod["metadata"]["uid"]: pod["metadata"]
                for pod in pods
                if pod["spec"]["nodeName"] == node and pod["status"]["phase"] not in ("Succeeded", "Failed")
            }
            view = ApiView(ApiServer(ApiEndpoint(url, tmp_path / "token")), node)
            view.start()
            until(view.current)
            assert view.state().pods == len(expected)
            for uid, meta in expected.items():
                found = view.metadata(uid)
                assert found is not None
                assert (found.namespace, found.name) == (meta["namespace"], meta["name"])
                assert found.labels == meta.get("labels", {})
                left_out = {"kubectl.kubernetes.io/last-applied-configuration"}
                annotations = {k: v[:4_096] for k, v in meta.get("annotations", {}).items() if k not in left_out}
                assert found.annotations == annotations
                controllers = [one for one in meta.get("ownerReferences", []) if one.get("controller")]
                assert [one.title for one in found.owners[:1]] == [
                    f"{one['kind']}/{one['name']}" for one in controllers
                ]
            view.close()


def test_real_pods_keep_no_secret_of_their_spec(tmp_path: Path) -> None:
    """Nothing but metadata is kept, and of that only what is allowed goes with a holder."""
    fraction = next(pod for pod in real_pods() if pod["metadata"]["name"] == "frac-1-0-0")
    api = KubernetesApi()
    api.understands_partial = False
    fraction["spec"]["nodeName"] = "node-a"
    fraction["status"]["phase"] = "Running"
    api.put(fraction)
    (tmp_path / "token").write_text("token-1")
    with serving_api(api) as url:
        view = ApiView(ApiServer(ApiEndpoint(url, tmp_path / "token")), "node-a")
        view.start()
        until(view.current)
        found = view.metadata(fraction["metadata"]["uid"])
        view.close()
    assert found is not None
    assert "containers" not in repr(found)
    known = fraction["metadata"]["labels"].keys() | fraction["metadata"]["annotations"].keys()
    assert {"project"} < LabelFilter(("project", "runai/*")).select(found).keys() <= known
    assert LabelFilter(("project",)).select(found) == {"project": fraction["metadata"]["labels"]["project"]}
