-- import_runs
-- What is booked of the given jobs, all their runs.
SELECT
    runs.cluster,
    runs.job,
    runs.part,
    runs.started_us,
    runs.booked_until_us,
    runs.ended,
    runs.gpus
FROM imported_jobs AS runs
SEMI JOIN wanted_jobs AS wanted ON runs.cluster = wanted.cluster AND runs.job = wanted.job
ORDER BY runs.cluster, runs.job, runs.part, runs.started_us
