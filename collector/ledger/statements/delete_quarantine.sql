DELETE FROM quarantine
WHERE quarantine_id <= $dropped_id
