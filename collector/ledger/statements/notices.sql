-- Notices with their last step and how often they were tried; with $waiting those alone that are still to be sent.
SELECT
    n.notice_id,
    n.crossing_id,
    n.target,
    n.title,
    n.body,
    count(*) AS steps,
    max(s.attempts) AS attempts,
    min(s.at_us) AS made_us,
    max(s.at_us) AS at_us,
    arg_max(s.state, s.step) AS state,
    arg_max(coalesce(s.due_us, 0), s.step) AS due_us,
    arg_max(s.reason, s.step) AS reason
FROM notices AS n
INNER JOIN notice_steps AS s ON n.notice_id = s.notice_id
GROUP BY ALL
HAVING NOT $waiting OR arg_max(s.state, s.step) = 'waiting'
ORDER BY n.notice_id;
