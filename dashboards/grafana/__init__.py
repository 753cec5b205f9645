"""Grafana dashboards as code, and the JSON that is made of it."""
