-- The rule book in versions, as it was imported.
CREATE TABLE rule_books (
    rules_version INTEGER PRIMARY KEY,
    imported_us BIGINT NOT NULL,
    source VARCHAR NOT NULL,
    digest BLOB NOT NULL,
    content VARCHAR NOT NULL
);

-- What rules decided about what, on which facts (JSON), and what rules in shadow would have. rules_version NULL: there
-- was no book.
CREATE TABLE rule_decisions (
    decision_id BIGINT PRIMARY KEY,
    at_us BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    rules_version INTEGER,
    facts VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    rule VARCHAR NOT NULL,
    shadow_action VARCHAR NOT NULL,
    shadow_rule VARCHAR NOT NULL
);

-- What somebody asked for (wanted, JSON), by when it has to be decided, when its effect would hold, and whose approvals
-- the rules of that instant demanded (JSON). Rows are only added.
CREATE TABLE approval_requests (
    approval_id INTEGER PRIMARY KEY,
    kind VARCHAR NOT NULL,
    owner VARCHAR NOT NULL,
    wanted VARCHAR NOT NULL,
    from_us BIGINT,
    to_us BIGINT,
    expires_us BIGINT NOT NULL,
    decision_id BIGINT NOT NULL,
    requirements VARCHAR NOT NULL
);

-- What was done about a request, in order; step 1 asks. made: what an approval made of it, such as adjustment 4.
CREATE TABLE approval_steps (
    approval_id INTEGER NOT NULL,
    step INTEGER NOT NULL,
    what VARCHAR NOT NULL,
    at_us BIGINT NOT NULL,
    by_whom VARCHAR NOT NULL,
    why VARCHAR NOT NULL,
    roles VARCHAR NOT NULL,
    made VARCHAR NOT NULL,
    PRIMARY KEY (approval_id, step)
);
