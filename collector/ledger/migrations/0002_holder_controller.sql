-- Where a holder's claim of a team was read, and what made its pod.
ALTER TABLE holders ADD COLUMN team_source VARCHAR DEFAULT '';
ALTER TABLE holders ADD COLUMN controller VARCHAR DEFAULT '';
