INSERT INTO access_tokens (
    token_id, name, role, nodes, agent, digest, shown, created_us, created_by, expires_us, uses
)
VALUES (
    $token_id, $name, $role, $nodes, $agent, $digest, $shown, $at_us, $by_whom, $expires_us, $uses
)
