-- The last of each kind that a replica knows.
CREATE TEMP TABLE known AS
SELECT
    $batch_id::INTEGER AS batch_id,
    $price_version::INTEGER AS price_version,
    $owner_version::INTEGER AS owner_version,
    $directory_version::INTEGER AS directory_version,
    $carbon_version::INTEGER AS carbon_version,
    $share_version::INTEGER AS share_version,
    $policy_version::INTEGER AS policy_version,
    $period_id::INTEGER AS period_id,
    $at_us::BIGINT AS at_us;
