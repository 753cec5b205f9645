"""Rules that decide about what people and workloads want, and approvals of what rules do not simply allow."""
