"""The kustomize folders render, are valid for old and new clusters, and fit together."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import yaml

from agent.devices.simulated.scenario_file import read_scenario
from collector.enforcement.pods import OTHER_GPUS, is_gpu
from gpuledger.cli.main import build_parser
from tests.deploy.manifests import (
    OVERLAYS,
    ROOT,
    Document,
    agent,
    containers,
    every_rendering,
    overlay,
    pods,
    render,
    require_module,
    with_components,
)
from tests.e2e.processes import gpuledger

CUSTOM = {"ServiceMonitor"}  # of the Prometheus operator: no schema of Kubernetes has it
NEWER = {"1.25": {"ValidatingWebhookConfiguration"}}  # of components that say so: match conditions came with 1.28


@pytest.mark.parametrize("version", ["1.25", "1.37"])
def test_every_object_is_valid(version: str) -> None:
    """The oldest cluster that is meant to work and the newest take each object; unknown fields are refused."""
    kubernetes_validate = require_module("kubernetes_validate", "kubernetes-validate")
    seen = set()
    for name, documents in every_rendering():
        assert documents, name
        for document in documents:
            if document["kind"] in CUSTOM | NEWER.get(version, set()):
                continue
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                pytest.fail(f"{name}: {document['kind']} {document['metadata']['name']}: {error.message}")
            seen.add(document["kind"])
    assert {"DaemonSet", "StatefulSet", "Deployment", "ClusterRole", "NetworkPolicy", "RuntimeClass"} <= seen


@pytest.mark.parametrize("name", OVERLAYS)
def test_settings_in_config_maps_are_accepted(name: str, tmp_path: Path) -> None:
    """Each settings file passes --check-config of the process that reads it, under that container's environment."""
    documents = overlay(name)
    maps = {each["metadata"]["name"]: each["data"] for each in documents if each["kind"] == "ConfigMap"}
    used = set()
    for pod_name, template in pods(documents):
        for volume in template["spec"]["volumes"]:
            if "configMap" not in volume:
                continue
            [(file, text)] = maps[volume["configMap"]["name"]].items()
            path = tmp_path / f"{pod_name}-{file}"
            path.write_text(text)
            node = ("GPULEDGER_SIMULATION_NODE", "train-1") if name == "demo" else ("GPULEDGER_AGENT_NODE", "n1")
            done = gpuledger(Path(file).stem, "--config", str(path), "--check-config", env=dict([node]))
            assert done.returncode == 0, done.stderr
            used.add(volume["configMap"]["name"])
            settings = json.loads(done.stdout)
            ports = [port["containerPort"] for port in template["spec"]["containers"][0].get("ports", [])]
            serving = settings.get("server") or settings["exporter"]
            assert ports == [serving["port"]] or not serving.get("enabled", True), pod_name
    assert used == set(maps)


@pytest.mark.parametrize("name", OVERLAYS)
def test_ports_and_names_match(name: str) -> None:
    """A Service selects pods that listen where it sends, and whatever is called by name is there."""
    documents = overlay(name)
    templates = dict(pods(documents))
    services = {each["metadata"]["name"]: each["spec"] for each in documents if each["kind"] == "Service"}
    for service, spec in services.items():
        [chosen] = [
            template
            for template in templates.values()
            if spec["selector"].items() <= template["metadata"]["labels"].items()
        ]
        named = {port["name"]: port["containerPort"] for each in chosen["spec"]["containers"] for port in each["ports"]}
        for port in spec["ports"]:
            assert named[port["targetPort"]] == port["port"], service
    text = yaml.safe_dump_all(documents)
    assert "http://gpuledger-collector:8470" in text
    assert services["gpuledger-collector"]["ports"][0]["port"] == 8470


@pytest.mark.parametrize("name", OVERLAYS)
def test_network_policies_select_pods_and_deny_the_rest(name: str) -> None:
    """Each policy but the one for all selects pods, by a port on which they listen, and everything else is denied."""
    documents = overlay(name)
    policies = {each["metadata"]["name"]: each["spec"] for each in documents if each["kind"] == "NetworkPolicy"}
    deny = policies.pop("default-deny")
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    labels = [template["metadata"]["labels"] for _, template in pods(documents)]
    for policy, spec in policies.items():
        assert any(spec["podSelector"]["matchLabels"].items() <= each.items() for each in labels), policy
    assert len(policies) == len(labels)


def test_agents_leave_a_node_whose_driver_is_exchanged() -> None:
    """With the GPU operator the agent goes when the operator's labels say so; a client that stays would hold it up."""
    affinity = agent(overlay("gpu-operator"))["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]

    def runs(**labels: str) -> bool:
        node = {f"nvidia.com/gpu.{key}": value for key, value in labels.items()}
        return any(all(_matches(rule, node) for rule in term["matchExpressions"]) for term in terms)

    gpu = {"present": "true"}
    assert runs(**gpu)
    assert runs(**gpu, **{"deploy.client": "true"})
    assert not runs(**gpu, **{"deploy.client": "paused-for-driver-upgrade"})
    assert not runs(**gpu, **{"deploy.device-plugin": "paused-for-mig-change"})
    assert not runs()


def _matches(rule: dict[str, object], node: dict[str, str]) -> bool:
    value, values = node.get(str(rule["key"])), rule.get("values")
    if rule["operator"] == "DoesNotExist":
        return value is None
    assert isinstance(values, list)
    return (value in values) == (rule["operator"] == "In")


def test_the_demo_needs_no_privileges_and_plays_every_node() -> None:
    """It is for clusters without GPUs: nothing of the host, every node of the scenario once."""
    documents = overlay("demo")
    assert not [each for each in documents if each["kind"] in {"DaemonSet", "ClusterRole", "RuntimeClass"}]
    nodes = sorted(node.name for node in read_scenario("demo").node)
    [(_, pod)] = [(name, each["spec"]) for name, each in pods(documents) if name == "gpuledger-demo-agents"]
    for kind in ("initContainers", "containers"):  # history first, then live
        played = [
            env["value"]
            for container in pod[kind]
            for env in container["env"]
            if env["name"] == "GPULEDGER_SIMULATION_NODE"
        ]
        assert sorted(played) == nodes


def test_components_change_what_they_are_named_for() -> None:
    """Each gives the agent what it says, and the last one takes its capabilities away."""
    mig = agent(with_components("mig-monitoring"))["containers"][0]
    assert "SYS_ADMIN" in mig["securityContext"]["capabilities"]["add"]
    assert {"name": "NVIDIA_MIG_MONITOR_DEVICES", "value": "all"} in mig["env"]
    by_mount = agent(with_components("devices-by-mount"))["containers"][0]
    assert {"name": "NVIDIA_VISIBLE_DEVICES", "value": "/var/run/nvidia-container-devices"} in by_mount["env"]
    assert "add" not in agent(with_components("no-environments"))["containers"][0]["securityContext"]["capabilities"]
    both = agent(with_components("mig-monitoring", "kernel-log", "slurm"))["containers"][0]
    assert both["securityContext"]["capabilities"]["add"][2:] == ["SYS_ADMIN", "SYSLOG"]


def test_reports_reach_the_collector_and_write_where_they_are_kept() -> None:
    """The job's command is one that the program has, its folder is the claim, and both network policies let it through."""
    documents = with_components("reports")
    [job] = [each for each in documents if each["kind"] == "CronJob"]
    [pod] = [template["spec"] for name, template in pods(documents) if name == "gpuledger-reports"]
    [container] = pod["containers"]
    args = build_parser().parse_args(container["args"])
    assert (args.url, str(args.out), args.period) == ("http://gpuledger-collector:8470", "/reports", "")
    kept = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    [claimed] = [each for each in pod["volumes"] if "persistentVolumeClaim" in each]
    assert kept[claimed["name"]] == str(args.out)
    [token] = [each["value"] for each in container["env"] if each["name"] == "GPULEDGER_TOKEN_FILE"]
    [secret] = [each for each in pod["volumes"] if "secret" in each]
    assert f"{kept[secret['name']]}/{secret['secret']['items'][0]['path']}" == token
    assert secret["secret"]["items"] == [{"key": "viewer.token", "path": "viewer.token"}], "and no other token"
    claims = [each["metadata"]["name"] for each in documents if each["kind"] == "PersistentVolumeClaim"]
    assert claims == [claimed["persistentVolumeClaim"]["claimName"]]
    policies = {each["metadata"]["name"]: each["spec"] for each in documents if each["kind"] == "NetworkPolicy"}
    [rule] = policies["gpuledger-collector"]["ingress"][0]["from"][0]["podSelector"]["matchExpressions"]
    assert rule["values"] == ["gpuledger-agent", "gpuledger-dashboards", "gpuledger-reports"]
    assert policies["gpuledger-reports"]["podSelector"]["matchLabels"] == {"app": "gpuledger-reports"}
    assert job["spec"]["concurrencyPolicy"] == "Forbid"


def test_the_guides_own_overlay_works(tmp_path: Path) -> None:
    """What the guide tells a site to write renders, with the site's registry and the site's settings."""
    guide = (ROOT / "docs" / "guides" / "deploy-kubernetes.md").read_text()
    [block] = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    for path in re.findall(r"\.\./(deploy/\S+)", block):
        assert (ROOT / path).is_dir(), path
    here = tmp_path.resolve()
    (here / "kustomization.yaml").write_text(block.replace("../deploy", os.path.relpath(ROOT / "deploy", here)))
    (here / "agent.toml").write_text('[agent]\ncluster = "ours"\n')
    documents = render(here)
    images = [container["image"] for _, container in containers(documents)]
    assert len(images) == 3
    assert all(image.startswith("registry.internal/mlops/gpuledger-") for image in images)
    [settings] = [each for each in documents if each["metadata"]["name"] == mounted_settings(documents)]
    assert settings["data"] == {"agent.toml": '[agent]\ncluster = "ours"\n'}


def mounted_settings(documents: tuple[Document, ...]) -> str:
    """Return the name of the ConfigMap that the agents mount."""
    [name] = [volume["configMap"]["name"] for volume in agent(documents)["volumes"] if "configMap" in volume]
    return str(name)


def test_kube_apiserver_reaches_admission_and_is_not_held_up_by_it() -> None:
    """Webhook, Service, pod, settings and network policy name one port; what the cluster needs is never asked about."""
    documents = with_components("admission")
    [webhook] = [
        hook for each in documents if each["kind"] == "ValidatingWebhookConfiguration" for hook in each["webhooks"]
    ]
    called = webhook["clientConfig"]["service"]
    [service] = [
        each for each in documents if each["kind"] == "Service" and each["metadata"]["name"] == "gpuledger-collector"
    ]
    assert (called["namespace"], called["path"]) == (service["metadata"]["namespace"], "/v1/admission")
    [port] = [each for each in service["spec"]["ports"] if each["port"] == called["port"]]
    pod = dict(pods(documents))["gpuledger-collector"]["spec"]
    [container] = pod["containers"]
    assert {each["name"]: each["containerPort"] for each in container["ports"]}[port["targetPort"]] == port["port"]
    done = gpuledger("collector", "--check-config", env={each["name"]: each["value"] for each in container["env"]})
    assert done.returncode == 0, done.stderr
    settings = json.loads(done.stdout)["admission"]
    assert (settings["host"], settings["port"]) == ("0.0.0.0", port["port"])
    [mounted] = [each["mountPath"] for each in container["volumeMounts"] if each["name"] == "admission"]
    assert {str(Path(settings[name]).parent) for name in ("certificate", "key", "client_ca")} == {mounted}
    [policy] = [
        each
        for each in documents
        if each["kind"] == "NetworkPolicy" and each["metadata"]["name"] == "gpuledger-collector"
    ]
    assert {"ports": [{"protocol": "TCP", "port": port["port"]}]} in policy["spec"]["ingress"]
    [rule] = webhook["namespaceSelector"]["matchExpressions"]
    assert (rule["operator"], {*rule["values"]}) == ("NotIn", {"kube-system", service["metadata"]["namespace"]})
    assert (webhook["failurePolicy"], webhook["sideEffects"]) == ("Ignore", "NoneOnDryRun")
    [condition] = webhook["matchConditions"]
    [pattern] = re.findall(r"matches\('([^']+)'\)", condition["expression"])
    names = ("nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-1g.10gb", *OTHER_GPUS, "cpu", "memory")
    assert [bool(re.search(pattern, name)) for name in names] == [is_gpu(name) for name in names]
