"""Least privilege: what each pod may do is what is listed here, and beside each privilege stands why."""

from __future__ import annotations

import re

import pytest

from gpuledger.cli.checks.api_server import RIGHTS
from tests.deploy.manifests import (
    COMPONENTS,
    KUSTOMIZE,
    OVERLAYS,
    Document,
    agent,
    containers,
    every_rendering,
    host_paths,
    overlay,
    pods,
    with_components,
)

PRIVILEGE = re.compile(
    r"hostPID: true|runAsUser: 0$|priorityClassName:|path: /(?!spec|metadata|healthz|readyz|metrics|_stcore)\S+$"
    r"|^\s*- (DAC_READ_SEARCH|SYS_PTRACE)$|value: SYS\w+$|- apiGroups:|unconfined$|- (from|to):$|- ports:$"
    r"|NVIDIA_VISIBLE_DEVICES, value: all|pod-security.kubernetes.io/enforce: privileged"
)
SOURCES = sorted(path for path in KUSTOMIZE.rglob("*.yaml") if "demo" not in path.parts)


def test_every_privilege_has_its_reason_beside_it() -> None:
    """A comment stands on the line of a privilege or within the three lines above it."""
    seen = 0
    for path in SOURCES:
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if PRIVILEGE.search(line.partition("  #")[0]):
                seen += 1
                near = lines[max(0, number - 3) : number + 1]
                assert any("#" in each for each in near), f"{path.name}:{number + 1}: {line.strip()} has no reason"
    assert seen >= 40


@pytest.mark.parametrize("name", ["plain", "gpu-operator"])
def test_the_agent_may_do_what_is_listed_and_no_more(name: str) -> None:
    """Two capabilities, seven places of the host, one of them writable; no GPU is asked for."""
    pod = agent(overlay(name))
    [container] = pod["containers"]
    context = container["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["DAC_READ_SEARCH", "SYS_PTRACE"]}
    assert (pod.get("hostNetwork"), pod.get("hostIPC"), pod["hostPID"]) == (None, None, True)
    assert set(host_paths(pod).values()) == {
        "/var/lib/gpuledger",
        "/var/lib/kubelet/pod-resources",
        "/var/lib/kubelet/device-plugins",
        "/var/log/pods",
        "/var/log/containers",
        "/sys/fs/cgroup",
    }
    writable = [mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["spool"]
    assert not any("nvidia.com" in resource for kind in container["resources"].values() for resource in kind)
    assert pod["runtimeClassName"] == "nvidia"


def test_no_socket_and_no_service_links() -> None:
    """The kubelet makes its socket anew: only the folder is mounted. Service links would be unknown settings."""
    for name, documents in every_rendering():
        for pod_name, template in pods(documents):
            pod = template["spec"]
            assert not [path for path in host_paths(pod).values() if path.endswith(".sock")], name
            assert pod["enableServiceLinks"] is False, f"{name}: {pod_name}"


def test_every_container_is_confined_and_limited() -> None:
    """Nothing is privileged; each has a read-only root, no way to more rights, a seccomp profile and limits."""
    for name, documents in every_rendering():
        for container_name, container in containers(documents):
            context, resources = container["securityContext"], container["resources"]
            where = f"{name}: {container_name}"
            assert not context.get("privileged"), where
            assert context["allowPrivilegeEscalation"] is False, where
            assert context["readOnlyRootFilesystem"] is True, where
            assert context["capabilities"]["drop"] == ["ALL"], where
            assert {*resources["limits"]} == {*resources["requests"]} == {"cpu", "memory"}, where
            assert re.search(r":\d+\.\d+\.\d+$", container["image"]), where
        for pod_name, template in pods(documents):
            security = template["spec"]["securityContext"]
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}
            if pod_name != "gpuledger-agent":
                assert (security["runAsNonRoot"], template["spec"]["automountServiceAccountToken"]) == (True, False)


@pytest.mark.parametrize("name", OVERLAYS)
def test_there_is_one_writer_that_has_time_to_close_the_ledger(name: str) -> None:
    """One replica of a StatefulSet on one claim, asked whether it can commit, and given two minutes to checkpoint."""
    [collector] = [each for each in overlay(name) if each["kind"] == "StatefulSet"]
    spec, pod = collector["spec"], collector["spec"]["template"]["spec"]
    assert spec["replicas"] == 1
    assert len(spec["volumeClaimTemplates"]) == 1
    [container] = pod["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert pod["terminationGracePeriodSeconds"] >= 60
    assert not [each for each in overlay(name) if each["kind"] == "PodDisruptionBudget"]


def test_the_agents_account_reads_only() -> None:
    """It may read metadata of pods and of what made them; nothing of secrets, and nothing is written."""
    [role] = [each for each in overlay("plain") if each["kind"] == "ClusterRole"]
    for rule in role["rules"]:
        asked = {"pods": {"get", "list", "watch"}, "resourceslices": {"list"}}.get(rule["resources"][0], {"get"})
        assert set(rule["verbs"]) == asked, rule
        assert not {"*", "secrets", "configmaps"} & {*rule["resources"], *rule["apiGroups"]}
    granted = {
        (group, resource) for rule in role["rules"] for group in rule["apiGroups"] for resource in rule["resources"]
    }
    assert {(right.group, right.resource) for right in RIGHTS} <= granted


def test_components_that_are_left_out_give_nothing() -> None:
    """Wider rights are opt-in: none of them is in an overlay as it comes."""
    for name in ("plain", "gpu-operator"):
        text = str(overlay(name))
        assert not any(word in text for word in ("SYS_ADMIN", "SYSLOG", "unconfined", "/dev/kmsg", "/etc/slurm"))
    everything = [component for component in COMPONENTS if component not in {"nvidia-runtime", "no-environments"}]
    widest: Document = agent(with_components(*everything))["containers"][0]["securityContext"]
    assert set(widest["capabilities"]["add"]) == {"DAC_READ_SEARCH", "SYS_PTRACE", "SYS_ADMIN", "SYSLOG"}
