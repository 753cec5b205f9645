"""Pages over the collector's API, and the dashboards that Grafana shows."""
