-- A stage that a quota reached.
INSERT INTO quota_crossings (
    crossing_id, quota, period, stage, at_us, quota_version, owner, action, used, whole
) VALUES (
    $crossing_id,
    $quota,
    $period,
    $stage,
    $at_us,
    $quota_version,
    $owner,
    $action,
    $used,
    $whole
);
