-- What somebody is to be told.
INSERT INTO notices (
    notice_id, crossing_id, target, title, body
) VALUES (
    $notice_id,
    $crossing_id,
    $target,
    $title,
    $body
);
