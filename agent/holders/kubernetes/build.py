"""The Kubernetes source as the settings describe it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from agent.config import AgentSettings
from agent.holders.kubernetes.api import ApiEndpoint, ApiServer
from agent.holders.kubernetes.assignments import Assignments
from agent.holders.kubernetes.checkpoint import KubeletCheckpoint
from agent.holders.kubernetes.grants import KubernetesGrants
from agent.holders.kubernetes.kubelet import Kubelet
from agent.holders.kubernetes.pod_cgroups import PodCgroups
from agent.holders.kubernetes.view import ApiView, NoView, PodView
from agent.holders.pods import PodLogDirectories, PodNames


def kubernetes_grants(
    settings: AgentSettings,
    *,
    rule_labels: Callable[[], frozenset[str]] = frozenset,
    pods: PodNames | None = None,
    env: Mapping[str, str] = os.environ,
) -> KubernetesGrants:
    """Return the source. `rule_labels` gives patterns of labels that are wanted besides those of the settings."""
    section = settings.kubernetes
    kubelet = Kubelet(
        section.socket,
        timeout_s=section.timeout_s,
        stands_s=section.stands_s,
        max_message_bytes=section.max_message_bytes,
    )
    return KubernetesGrants(
        kubelet,
        pod_view(settings, env),
        pods or PodLogDirectories(settings.holders.pod_logs, settings.holders.container_logs),
        checkpoint=KubeletCheckpoint(section.checkpoint),
        cgroups=PodCgroups(section.cgroups),
        assignments=Assignments(section.resources, section.dra_drivers),
        labels=section.labels,
        rule_labels=rule_labels,
    )


def pod_view(settings: AgentSettings, env: Mapping[str, str] = os.environ) -> PodView:
    """Return a view through the API server that is configured or that the environment names, else none."""
    section = settings.kubernetes
    endpoint = ApiEndpoint.of(section.api_url, section.token_file, section.ca_file, env) if section.api else None
    if endpoint is None:
        return NoView()
    return ApiView(
        ApiServer(endpoint, timeout_s=section.api_timeout_s),
        section.node or settings.node,
        requests_per_second=section.requests_per_second,
        drivers=section.dra_drivers,
    )
