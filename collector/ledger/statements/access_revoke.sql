INSERT INTO access_revocations (token_id, at_us, revoked_by, why)
VALUES ($token_id, $at_us, $by_whom, $why)
