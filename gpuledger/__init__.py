"""The contract and the arithmetic: the one package that the agent, the collector, analytics and dashboards share."""

__version__ = "0.1.0"
