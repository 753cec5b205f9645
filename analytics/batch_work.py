"""Which work may wait: runs, steps and jobs, as the rules of identity name them; not notebooks, not endpoints."""

from __future__ import annotations

from typing import Final

import polars as pl

# System and scope of the rules whose level is run, step or job. Left out: LeaderWorkerSet and Run:ai, which serve too.
BATCH: Final = (
    "airflow task", "argo node", "dagster run", "dagster step", "dvc stage", "flyte node", "jobset JobSet",
    "katib trial", "kfp task", "kubeflow TrainJob", "kubeflow training job", "kubernetes Job", "mlflow run",
    "prefect deployment", "prefect flow run", "ray RayJob", "ray job", "slurm array task", "slurm job", "volcano job",
    "wandb launch", "wandb run", "wandb sweep",
)  # fmt: skip
SLURM: Final = "slurm_job"  # the kind of a holder: jobs that were read from a log have no system
COLUMNS: Final = ("holder_kind", "workload_system", "workload_scope")


def is_batch() -> pl.Expr:
    """Return whether a bill line's holder may wait; what is not known may not."""
    named = pl.format("{} {}", pl.col("workload_system").fill_null(""), pl.col("workload_scope").fill_null(""))
    return (pl.col("holder_kind").fill_null("") == SLURM) | named.is_in(BATCH)
