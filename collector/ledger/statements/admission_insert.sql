-- Asks of schedulers and their answers; one that is kept already, by its uid, is not kept twice.
INSERT INTO admissions BY NAME
SELECT n.*
FROM new_admissions AS n
ANTI JOIN admissions AS a ON n.uid = a.uid AND n.source = a.source
