-- import_keep_runs
-- Remember what is booked of each run; a run that went on replaces what was known of it.
MERGE INTO imported_jobs AS kept
USING incoming_runs AS found
    ON
        kept.cluster = found.cluster
        AND kept.job = found.job
        AND kept.part = found.part
        AND kept.started_us = found.started_us
WHEN MATCHED THEN
    UPDATE SET
        booked_until_us = found.booked_until_us,
        ended = found.ended,
        import_id = found.import_id
WHEN NOT MATCHED THEN
    INSERT VALUES (
        found.cluster,
        found.job,
        found.part,
        found.started_us,
        found.booked_until_us,
        found.ended,
        found.gpus,
        found.import_id
    )
