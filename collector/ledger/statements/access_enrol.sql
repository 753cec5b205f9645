INSERT INTO access_enrolments (token_id, join_id, at_us)
VALUES ($token_id, $join_id, $at_us)
