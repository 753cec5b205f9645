-- Asks of schedulers and their answers; one that is kept already, by its uid, is not kept twice.
INSERT INTO admissions BY NAME
SELECT
    n.at_us,
    n.source,
    n.cluster,
    n.uid,
    n.operation,
    n.kind,
    n.namespace,
    n.name,
    n.user_name,
    n.owner,
    n.models,
    n.parts,
    n.mode,
    n.result,
    n.answered,
    n.rule,
    n.reasons,
    n.times
FROM new_admissions AS n
ANTI JOIN admissions AS a ON n.uid = a.uid AND n.source = a.source
