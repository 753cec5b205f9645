-- Tokens: who may ask for what. Of a token itself only its SHA-256 is kept. Rows are added, never changed.
-- nodes is a JSON array of owners such as acme/research/vision, ["*"] for everything; agent is the only agent whose
-- batches it delivers; uses is how many agents a join token enrols.
CREATE TABLE access_tokens (
    token_id INTEGER PRIMARY KEY,
    name VARCHAR NOT NULL,
    role VARCHAR NOT NULL,
    nodes VARCHAR NOT NULL,
    agent VARCHAR NOT NULL,
    digest BLOB NOT NULL,
    shown VARCHAR NOT NULL,
    created_us BIGINT NOT NULL,
    created_by VARCHAR NOT NULL,
    expires_us BIGINT,
    uses INTEGER
);

CREATE TABLE access_revocations (
    token_id INTEGER PRIMARY KEY,
    at_us BIGINT NOT NULL,
    revoked_by VARCHAR NOT NULL,
    why VARCHAR NOT NULL
);

-- Which join token an agent's token came by.
CREATE TABLE access_enrolments (
    token_id INTEGER PRIMARY KEY,
    join_id INTEGER NOT NULL,
    at_us BIGINT NOT NULL
);
