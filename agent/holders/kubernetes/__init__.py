"""Kubernetes: what the kubelet says it gave to whom, and what the API server says about this node's pods."""
