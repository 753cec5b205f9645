"""What is installed, and under which name this node would be known."""

from __future__ import annotations

from gpuledger.cli.checks.finding import Finding
from gpuledger.cli.extras import EXTRAS, install_command, missing_modules


def check_extras() -> list[Finding]:
    """Return which optional parts are installed."""
    findings = []
    for extra in EXTRAS:
        missing = missing_modules(extra)
        if missing:
            found = f"without {', '.join(missing)}"
            findings.append(
                Finding(f"extra: {extra}", "absent", found, f"where it is needed: {install_command(extra)}")
            )
        else:
            findings.append(Finding(f"extra: {extra}", "ok", "installed"))
    return findings


def check_node_name(named: str, host: str, *, in_pod: bool) -> Finding:
    """Return whether the node has a name that outlives this process: in a pod the host's name is the pod's own."""
    if named or not in_pod:
        return Finding("node name", "ok", named or host)
    return Finding(
        "node name",
        "failed",
        f"none is set, and {host} is the name of this pod",
        "set GPULEDGER_AGENT_NODE from spec.nodeName (fieldRef), as deploy/kustomize does",
        "each restart of the pod makes a new node and a new agent in the ledger",
    )
