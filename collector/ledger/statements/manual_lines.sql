-- The lines of adjustments that somebody entered.
SELECT l.*
FROM manual_lines AS l
ORDER BY l.manual_id, l.line;
