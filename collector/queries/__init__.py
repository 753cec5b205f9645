"""Questions to the ledger: each module answers one, as a struct that becomes JSON, CSV or Arrow."""

from collector.queries.bill import bill
from collector.queries.books import owners, prices
from collector.queries.chargeback import chargeback
from collector.queries.facts import charges, devices, events, quarantine, usage
from collector.queries.idle import idle
from collector.queries.idle_workloads import idle_workloads
from collector.queries.job_time import job_time
from collector.queries.node_costs import node_costs
from collector.queries.reconcile import reconcile
from collector.queries.series import series
from collector.queries.status import status
from collector.queries.timeline import timeline
from collector.queries.utilization import utilization
from collector.queries.waste import idle_power, waste
from collector.queries.week import week
from collector.queries.workloads import workloads

__all__ = [
    "bill",
    "chargeback",
    "charges",
    "devices",
    "events",
    "idle",
    "idle_power",
    "idle_workloads",
    "job_time",
    "node_costs",
    "owners",
    "prices",
    "quarantine",
    "reconcile",
    "series",
    "status",
    "timeline",
    "usage",
    "utilization",
    "waste",
    "week",
    "workloads",
]
