-- How many devices the ledger knows.
SELECT count(*) AS devices
FROM devices;
