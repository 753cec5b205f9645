-- Lines of a bill that are not charges of hours: what a policy, a commitment, a loan or a decision adds or takes back.
-- [from_us, to_us) is what a line is for; corrects is the label of the closed period that lies in, where it is another.
-- part_us is time that is on the bill already. An empty team is the platform; state is 0 where a line is about none.
CREATE TABLE adjustments (
    period_id INTEGER NOT NULL,
    adjustment INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    because VARCHAR NOT NULL,
    reference VARCHAR NOT NULL,
    corrects VARCHAR NOT NULL,
    from_us BIGINT NOT NULL,
    to_us BIGINT NOT NULL,
    organisation VARCHAR NOT NULL,
    department VARCHAR NOT NULL,
    team VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    mig_profile VARCHAR NOT NULL,
    state UTINYINT NOT NULL,
    part_us HUGEINT NOT NULL,
    cost_quanta BIGINT NOT NULL
);

ALTER TABLE closed_periods ADD COLUMN adjustment_count BIGINT DEFAULT 0;
ALTER TABLE closed_periods ADD COLUMN adjustment_quanta BIGINT DEFAULT 0;
ALTER TABLE invoice_lines ADD COLUMN because VARCHAR DEFAULT '';
