-- Owners, pools and models that charges have known: what a policy may speak of.
SELECT DISTINCT
    d.pool,
    d.model,
    coalesce(o.organisation, '') AS organisation,
    coalesce(o.department, '') AS department,
    coalesce(o.team, '') AS team
FROM charges AS c
INNER JOIN devices AS d ON c.device_id = d.device_id
LEFT JOIN owners AS o ON c.owner_id = o.owner_id;
