"""The dashboards: fleet, node, teams, workloads, health, and gpuledger itself. Each answers one person's question."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from dashboards.grafana.kit import RATIO, choice, dashboard, figure, fill, lines, rows

HELD: Final = 'state=~"active|held_idle|held_unobserved|ungranted"'
_STATE: Final = "gpuledger_device_state"
_MODEL: Final = choice("model", "GPU model", _STATE)
_NODE: Final = choice("node", "Node", _STATE)
_TEAM: Final = choice("team", "Team", "gpuledger_holder_held_seconds_total")


def fleet() -> Dashboard:
    """Tell whether the fleet is held, and whether those who hold it use it."""
    of = 'model=~"$model"'
    devices = f"count(count by (node, device) ({_STATE}{{{of}}}))"
    held = f"sum({_STATE}{{{of}, {HELD}}})"
    made = dashboard("gpuledger-fleet", "Fleet: are GPUs held, and are they at work?", [_MODEL])
    return fill(
        made,
        [
            figure("Devices", "Whole GPUs and MIG instances that agents report.", devices),
            figure("Held", "Share of devices that somebody holds.", f"{held} / {devices}", RATIO),
            figure(
                "At work, of held",
                "Share of held devices that worked in the last interval.",
                f'sum({_STATE}{{{of}, state="active"}}) / {held}',
                RATIO,
            ),
            figure("Unavailable", "Devices with a fault, or in maintenance.",
                   f'sum({_STATE}{{{of}, state="unavailable"}}) or vector(0)'),
            figure("Power", "Power draw of all boards.", f"sum(gpuledger_device_power_watts{{{of}}})", "watt"),
        ],
        [
            lines("Devices by state", "What each device is, added up.",
                  {"{{state}}": f"sum by (state) ({_STATE}{{{of}}})"}, stacked=True),
            lines("Devices held, by model", "Where capacity is left, and where it is not.",
                  {"{{model}}": f"sum by (model) ({_STATE}{{{of}, {HELD}}})"}),
        ],
        [
            rows("Held and doing nothing now", "By node and model; `gpuledger idle` names the holders.",
                 f'topk(20, sum by (node, model) ({_STATE}{{{of}, state="held_idle"}}))',
                 {"node": "Node", "model": "GPU model"}, "Devices"),
            lines("Device memory in use", "Of what there is, by model.",
                  {"{{model}}": f"sum by (model) (gpuledger_device_memory_used_bytes{{{of}}}) / "
                   f"sum by (model) (gpuledger_device_memory_total_bytes{{{of}}})"}, RATIO),
        ],
    )  # fmt: skip


def node() -> Dashboard:
    """Tell what each GPU of a node does, and for whom."""
    of = 'node=~"$node"'
    made = dashboard("gpuledger-node", "Node: what does each GPU do, and for whom?", [_NODE])
    by = "{{node}} {{gpu}} {{mig_profile}}"
    return fill(
        made,
        [
            lines("Activity", "Part of the interval in which each device did work.",
                  {by: f"gpuledger_device_active_ratio{{{of}}}"}, RATIO),
            lines("Device memory in use", "By device.", {by: f"gpuledger_device_memory_used_bytes{{{of}}}"}, "bytes"),
        ],
        [
            lines("Power", "Draw of each board.", {by: f"gpuledger_device_power_watts{{{of}}}"}, "watt"),
            lines("Temperature", "Of each board.", {by: f"gpuledger_device_temperature_celsius{{{of}}}"}, "celsius"),
            lines("Clock", "Of the multiprocessors.", {by: f"gpuledger_device_sm_clock_hertz{{{of}}}"}, "hertz"),
        ],
        [
            rows("Who holds what", "Holders and the share of the device that each has.",
                 "max by (gpu, model, mig_profile, team, namespace, pod, user, workload) "
                 f"(gpuledger_device_held{{{of}}})",
                 {"gpu": "GPU", "model": "GPU model", "mig_profile": "MIG profile", "team": "Team",
                  "namespace": "Namespace", "pod": "Pod", "user": "User", "workload": "Workload"}, "Share", unit=RATIO),
            lines("Devices by state", "What each device is, added up.",
                  {"{{state}}": f"sum by (state) ({_STATE}{{{of}}})"}, stacked=True),
        ],
    )  # fmt: skip


def teams() -> Dashboard:
    """Tell what teams hold, use and cost."""
    of = 'team=~"$team"'
    held, active = "gpuledger_holder_held_seconds_total", "gpuledger_holder_active_seconds_total"
    cost = f"sum by (team, currency) (delta(gpuledger_team_cost_total{{{of}}}[3h])) / 3"
    made = dashboard("gpuledger-teams", "Teams: what do they hold, use and cost?", [_TEAM])
    return fill(
        made,
        [
            figure("GPUs held", "By the teams that are chosen, on average over five minutes.",
                   f"sum(rate({held}{{{of}}}[5m]))", decimals=1),
            figure("At work, of held", "Over the last hour.",
                   f"sum(increase({active}{{{of}}}[1h])) / sum(increase({held}{{{of}}}[1h]))", RATIO),
            figure("Unpriced GPU time", "Time without a price in the whole ledger: it is not free.",
                   "gpuledger_unpriced_gpu_seconds_total", "s"),
        ],
        [
            lines("Cost per hour", "By the collector's own totals; a new price book or owner rule shows as a step.",
                  {"{{team}} ({{currency}})": cost}),
            lines("Cost of the month so far", "By recording rules alone: the total now less that when the month began.",
                  {"{{team}} ({{currency}})": f"gpuledger:team_cost:month_to_date{{{of}}}"}),
            lines("GPU-hours per hour, by state", "From the ledger, for the teams that are chosen.",
                  {"{{state}}": f"sum by (state) (rate(gpuledger_team_gpu_seconds_total{{{of}}}[3h]))"}, stacked=True),
        ],
        [
            lines("GPUs held, by team", "From the agents: what each claims, before owner rules.",
                  {"{{team}} {{namespace}}": f"sum by (team, namespace) (rate({held}{{{of}}}[5m]))"}, stacked=True),
            lines("GPUs at work, by team", "The part of that in which GPUs worked.",
                  {"{{team}} {{namespace}}": f"sum by (team, namespace) (rate({active}{{{of}}}[5m]))"}, stacked=True),
        ],
        [
            lines("Budgets: spent of the limit", "The ten fullest, whatever team is chosen: 100 % is all of it.",
                  {"{{owner}} ({{period}}, {{currency}})": "topk(10, gpuledger_budget_spent_ratio)"}, RATIO),
            lines("Budgets: how fast they are spent", "1 spends a budget evenly to the end of its period; over a day.",
                  {"{{budget}} ({{period}}, {{currency}})": "topk(10, gpuledger:budget_burn:rate1d)"}),
        ],
    )  # fmt: skip


def workloads() -> Dashboard:
    """Tell what each run, step or endpoint holds and uses."""
    of = 'team=~"$team"'
    held, active = "gpuledger_holder_held_seconds_total", "gpuledger_holder_active_seconds_total"
    energy = "gpuledger_holder_energy_joules_total"
    made = dashboard("gpuledger-workloads", "Workloads: what does each hold and use?", [_TEAM])
    return fill(
        made,
        [
            lines("GPUs held", "The ten workloads with the most.",
                  {"{{workload}}": f"topk(10, sum by (workload) (rate({held}{{{of}}}[5m])))"}, stacked=True),
            lines("At work, of held", "Of the ten workloads with the most GPUs.",
                  {"{{workload}}": f"(sum by (workload) (rate({active}{{{of}}}[5m])) / sum by (workload) "
                   f"(rate({held}{{{of}}}[5m]))) and topk(10, sum by (workload) (rate({held}{{{of}}}[5m])))"}, RATIO),
        ],
        [
            lines("Power", "What boards draw for each workload.",
                  {"{{workload}}": f"topk(10, sum by (workload) (rate({energy}{{{of}}}[5m])))"}, "watt"),
            rows("Who holds how much", "GPUs by workload, team and namespace, on average over five minutes.",
                 f"topk(50, sum by (workload, team, namespace) (rate({held}{{{of}}}[5m])))",
                 {"workload": "Workload", "team": "Team", "namespace": "Namespace"}, "GPUs"),
        ],
    )  # fmt: skip


def health() -> Dashboard:
    """Tell which GPUs fail, or are about to."""
    of = 'node=~"$node"'
    by = "{{node}} {{gpu}}"
    made = dashboard("gpuledger-health", "Health: which GPUs fail, or are about to?", [_NODE])
    return fill(
        made,
        [
            figure("Unavailable devices", "With a fault, or in maintenance.",
                   f'sum({_STATE}{{{of}, state="unavailable"}}) or vector(0)'),
            figure("XIDs in a day", "Errors of the driver that do not point to the application.",
                   f'sum(increase(gpuledger_xid_errors_total{{{of}, class!~"application|informational"}}[1d]))'
                   " or vector(0)"),
            figure("Hottest board", "Now.", f"max(gpuledger_device_temperature_celsius{{{of}}})", "celsius"),
            figure("Wait for recovery", "Boards for which the driver wants a reset or a reboot.",
                   f"count(gpuledger_device_recovery_action{{{of}}} > 0) or vector(0)"),
        ],
        [
            lines("XIDs by class", "In an hour; none is good.",
                  {"{{class}}": f"sum by (class) (increase(gpuledger_xid_errors_total{{{of}}}[1h])) or vector(0)"}),
            lines("Uncorrected memory errors", "In an hour; none is good.",
                  {by: f'increase(gpuledger_device_ecc_errors_total{{{of}, error="uncorrected", counter="volatile"}}'
                   "[1h])"}),
        ],
        [
            lines("Clocks held down", "Part of the time, by reason.",
                  {"{{reason}}": f"avg by (reason) (rate(gpuledger_device_throttled_seconds_total{{{of}}}[5m]))"},
                  RATIO),
            lines("Temperature", "The ten hottest boards.",
                  {by: f"topk(10, gpuledger_device_temperature_celsius{{{of}}})"}, "celsius"),
        ],
    )  # fmt: skip


def itself() -> Dashboard:
    """Tell whether the figures can be trusted: agents see, and the collector takes what they send."""
    batches = "sum by (result) (rate(gpuledger_batches_total[5m]))"
    made = dashboard("gpuledger-itself", "gpuledger itself: can the figures be trusted?", [])
    return fill(
        made,
        [
            figure("Agents that answer", "Of those that Prometheus scrapes.", 'count(up{job="gpuledger-agent"} == 1)'),
            figure("Oldest sample", "Of all agents.", "max(gpuledger_sample_age_seconds)", "s", 1),
            figure("Oldest undelivered batch", "In all spools.", "max(gpuledger_spool_oldest_seconds)", "s", 0),
            figure("Newest usage", "Its age, in the cluster that is farthest behind.",
                   "max(gpuledger_ingest_lag_seconds)", "s", 0),
        ],
        [
            lines("Batches by what became of them", "A second, at the collector.", {"{{result}}": batches}, "ops"),
            lines("Time of a commit", "Half and 99 of 100 are shorter.",
                  {"half": "histogram_quantile(0.5, sum by (le) (rate(gpuledger_commit_duration_seconds_bucket[5m])))",
                   "99 of 100": "histogram_quantile(0.99, sum by (le) "
                   "(rate(gpuledger_commit_duration_seconds_bucket[5m])))"}, "s"),
        ],
        [
            lines("Samplers that cannot be read", "Families of readings that fail now, on all nodes.",
                  {"{{sampler}}": "count by (sampler) (gpuledger_sampler_success == 0) or vector(0)"}),
            lines("Time of a reading", "The slowest node, by family.",
                  {"{{sampler}}": "max by (sampler) (gpuledger_sampler_duration_seconds)"}, "s"),
        ],
        [
            lines("Unobserved time", "GPUs of which nothing is known, as the ledger books it.",
                  {"GPUs": "rate(gpuledger_unobserved_gpu_seconds_total[3h])"}),
            lines("Spools", "Bytes that wait, by node.", {"{{instance}}": "gpuledger_spool_bytes"}, "bytes"),
        ],
    )  # fmt: skip


ALL: Final = {"fleet": fleet, "node": node, "teams": teams, "workloads": workloads, "health": health, "itself": itself}
