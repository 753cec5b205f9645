-- A day is summed.
INSERT INTO summed_days VALUES ($from_us);
