-- What schedulers asked before work started, and what they were told. result is what was decided, answered what the
-- scheduler was told in the mode of the time; like asks within a second or so are one row, told by times.
CREATE TABLE admissions (
    at_us BIGINT NOT NULL,
    source VARCHAR NOT NULL,
    cluster VARCHAR NOT NULL,
    uid VARCHAR NOT NULL,
    operation VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    namespace VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    user_name VARCHAR NOT NULL,
    owner VARCHAR NOT NULL,
    models VARCHAR NOT NULL,
    parts BIGINT NOT NULL,
    mode VARCHAR NOT NULL,
    result VARCHAR NOT NULL,
    answered VARCHAR NOT NULL,
    rule VARCHAR NOT NULL,
    reasons VARCHAR NOT NULL,
    times BIGINT NOT NULL
);
