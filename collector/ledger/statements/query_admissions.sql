-- Asks of schedulers, the newest first; an empty result is any, 'not_allowed' all that were not to start.
SELECT
    a.at_us,
    a.source,
    a.cluster,
    a.uid,
    a.operation,
    a.kind,
    a.namespace,
    a.name,
    a.user_name,
    a.owner,
    a.models,
    a.parts,
    a.mode,
    a.result,
    a.answered,
    a.rule,
    a.reasons,
    a.times
FROM admissions AS a
WHERE
    a.at_us >= $from_us
    AND a.at_us < $to_us
    AND ($result IN ('', a.result) OR ($result = 'not_allowed' AND a.result != 'allow'))
ORDER BY a.at_us DESC, a.uid ASC
LIMIT $max_rows
