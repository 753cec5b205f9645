-- What several statements say in one way: the name of a workload, what charges are grouped by, the charges of a part
-- of the ledger. Tables are found by name where a statement runs: a session with views before them sees those.

-- noqa: disable=AM04,CP03,RF02,RF03,RF04
-- Parameters of macros look like columns.
CREATE MACRO workload_label(workload_name, workload_id, pod, slurm_job, container, holder_key) AS
coalesce(
    nullif(workload_name, ''), nullif(workload_id, ''), nullif(pod, ''), 'job ' || nullif(slurm_job, ''),
    nullif(container, ''), holder_key
);

-- The small key behind a dimension, that charges carry; and the name behind that key, of an owner o, a holder h or a
-- device d: rows, of which those that the key is not of may be all NULL.
CREATE MACRO key_of(dimension, owner_key, device_key, holder_key) AS
CASE
    WHEN dimension IN ('team', 'project', 'department', 'organisation') THEN owner_key
    WHEN dimension IN ('model', 'node', 'device', 'cluster') THEN device_key
    ELSE holder_key
END;

CREATE MACRO name_of(dimension, o, h, d) AS
CASE dimension
    WHEN 'team' THEN o.team
    WHEN 'project' THEN o.project
    WHEN 'department' THEN o.department
    WHEN 'organisation' THEN o.organisation
    WHEN 'user' THEN h.user_name
    WHEN 'system' THEN trim(h.workload_system || ' ' || h.workload_scope)
    WHEN 'namespace' THEN h.namespace
    WHEN 'slurm_account' THEN h.slurm_account
    WHEN 'workload'
        THEN
            workload_label(
                h.workload_name, h.workload_id, h.pod, h.slurm_job, h.container, h.holder_key
            )
    WHEN 'model' THEN d.model
    WHEN 'node' THEN d.node
    WHEN 'device' THEN d.device_key
    WHEN 'cluster' THEN d.cluster
END;

-- in_scope: everything (empty), or one of owner, unattributed, idle, unavailable and unobserved; what is NULL is any,
-- and an empty name is none. Held states are 1, 2, 6 and 7. Everything is a branch of its own: looking names up that
-- nobody asked for takes longer than all else.
CREATE MACRO charges_within(
    in_scope, in_organisation, in_department, in_team, in_project, of_user, of_workload
) AS TABLE
    WITH wanted_owners AS (
        SELECT o.owner_id
        FROM owners AS o
        WHERE
            (in_organisation IS NULL OR o.organisation = in_organisation)
            AND (in_department IS NULL OR o.department = in_department)
            AND (in_team IS NULL OR o.team = in_team)
            AND (in_project IS NULL OR o.project = in_project)
    ),

    wanted_holders AS (
        SELECT h.holder_id
        FROM holders AS h
        WHERE
            (of_user IS NULL OR h.user_name = of_user)
            AND (
                of_workload IS NULL
                OR workload_label(h.workload_name, h.workload_id, h.pod, h.slurm_job, h.container, h.holder_key)
                = of_workload
            )
    )

    SELECT c.*
    FROM charges AS c
    WHERE in_scope = ''
    UNION ALL
    SELECT c.*
    FROM charges AS c
    WHERE
        in_scope <> ''
        AND (
            (
                in_scope = 'owner'
                AND c.state IN (1, 2, 6, 7)
                AND c.owner_id IN (SELECT w.owner_id FROM wanted_owners AS w)
            )
            OR (in_scope = 'unattributed' AND c.state IN (1, 2, 6, 7) AND c.owner_id IS NULL)
            OR (in_scope = 'idle' AND c.state = 3)
            OR (in_scope = 'unavailable' AND c.state = 4)
            OR (in_scope = 'unobserved' AND c.state = 5)
        )
        AND (
            (of_user IS NULL AND of_workload IS NULL)
            OR c.holder_id IN (SELECT w.holder_id FROM wanted_holders AS w)
            OR (c.holder_id IS NULL AND coalesce(of_user, '') = '' AND coalesce(of_workload, '') = '')
        );
