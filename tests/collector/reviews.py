"""AdmissionReview documents as kube-apiserver sends them, with all that it fills in before it asks."""

from __future__ import annotations

import copy
import json
from typing import Any

Object = dict[str, Any]
VERSIONS = {"": "v1", "apps": "v1", "batch": "v1", "kubeflow.org": "v1", "ray.io": "v1", "resource.k8s.io": "v1"}
USER: Object = {
    "username": "ana@acme.example",
    "uid": "5d2a3b70-8f3c-4f19-9a38-0f7c8d4d9f0a",
    "groups": ["nlp", "system:authenticated"],
    "extra": {"authentication.kubernetes.io/credential-id": ["X509SHA256=0b5c"]},
}


def container(name: str = "train", *, gpus: object = None, resource: str = "nvidia.com/gpu", **more: Any) -> Object:
    """Return a container as the API server has it after its defaults: a limit without a request has one."""
    resources: Object = {"limits": {"memory": "32Gi"}, "requests": {"cpu": "4", "memory": "32Gi"}}
    if gpus is not None:
        resources["limits"][resource] = gpus
        resources["requests"][resource] = gpus
    return {
        "name": name,
        "image": "registry.acme.example/nlp/train:1.4",
        "command": ["python", "train.py"],
        "resources": resources,
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        "volumeMounts": [
            {
                "name": "kube-api-access-7x2vq",
                "readOnly": True,
                "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
            }
        ],
        **more,
    }


def pod_spec(*containers: Object, **more: Any) -> Object:
    """Return the spec of a pod with the defaults and what the mutating plugins of the API server add."""
    return {
        "volumes": [
            {
                "name": "kube-api-access-7x2vq",
                "projected": {
                    "sources": [
                        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                    ],
                    "defaultMode": 420,
                },
            }
        ],
        "containers": list(containers or (container(gpus="1"),)),
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
        "priority": 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
        **more,
    }  # fmt: skip


def template(spec: Object, **labels: str) -> Object:
    """Return a pod template."""
    return {"metadata": {"labels": {"app": "train", **labels}}, "spec": spec}


def made(
    group: str, kind: str, spec: Object, *, name: str = "train", namespace: str = "nlp", **metadata: Any
) -> Object:
    """Return an object as it is stored."""
    version = VERSIONS[group]
    return {
        "apiVersion": f"{group}/{version}" if group else version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": "c9b6a1de-64b7-4e1c-a1c0-6d8e0d1a6a01",
            "creationTimestamp": "2026-11-25T09:12:44Z",
            "managedFields": [
                {
                    "manager": "kubectl-client-side-apply",
                    "operation": "Update",
                    "apiVersion": f"{group}/{version}" if group else version,
                    "time": "2026-11-25T09:12:44Z",
                    "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:spec": {"f:containers": {'k:{"name":"train"}': {".": {}, "f:image": {}}}}},
                }
            ],
            **metadata,
        },
        "spec": spec,
    }


def pod(spec: Object | None = None, **metadata: Any) -> Object:
    """Return a pod; `labels` are of the metadata."""
    return {**made("", "Pod", spec or pod_spec(), **metadata), "status": {"phase": "Pending", "qosClass": "Burstable"}}


def review(
    asked: Object | None,
    *,
    operation: str = "CREATE",
    before: Object | None = None,
    uid: str = "705ab4f5-6393-11e8-b7cc-42010a800002",
    dry_run: bool = False,
    version: str = "admission.k8s.io/v1",
    **request: Any,
) -> Object:
    """Return the review of an operation on an object."""
    about = asked or before or {}
    api, kind = about.get("apiVersion", "v1"), about.get("kind", "Pod")
    group, _, number = api.rpartition("/")
    named = {"group": group, "version": number, "kind": kind}
    resource = {"group": group, "version": number, "resource": f"{kind.lower()}s"}
    options = {
        "kind": f"{operation.capitalize()}Options",
        "apiVersion": "meta.k8s.io/v1",
        "fieldManager": "kubectl-create",
    }
    return {
        "kind": "AdmissionReview",
        "apiVersion": version,
        "request": {
            "uid": uid,
            "kind": named,
            "resource": resource,
            "requestKind": named,
            "requestResource": resource,
            "name": about.get("metadata", {}).get("name", ""),
            "namespace": about.get("metadata", {}).get("namespace", ""),
            "operation": operation,
            "userInfo": copy.deepcopy(USER),
            "object": asked,
            "oldObject": before,
            "dryRun": dry_run,
            "options": options,
            **request,
        },
    }  # fmt: skip


def sent(document: Object) -> bytes:
    """Return a document as Go writes JSON: no spaces, and `<`, `>`, `&` escaped."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").encode()
