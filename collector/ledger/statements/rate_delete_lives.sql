-- Forget the lives that charges accounted for, once the hours between are marked.
DELETE FROM rated_lives;
