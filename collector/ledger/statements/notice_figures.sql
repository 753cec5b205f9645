-- How many notices ended how, how many wait, and since when the oldest of these is due at $now_us.
WITH last_steps AS (
    SELECT
        s.notice_id,
        arg_max(s.state, s.step) AS state,
        arg_max(s.due_us, s.step) AS due_us
    FROM notice_steps AS s
    GROUP BY s.notice_id
)

SELECT
    count(*) FILTER (l.state = 'sent') AS sent,
    count(*) FILTER (l.state = 'failed') AS failed,
    count(*) FILTER (l.state = 'suppressed') AS suppressed,
    count(*) FILTER (l.state = 'waiting') AS waiting,
    min(l.due_us) FILTER (l.state = 'waiting' AND l.due_us <= $now_us) AS due_us
FROM last_steps AS l;
