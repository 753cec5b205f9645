-- A new import of carbon intensities.
INSERT INTO carbon_imports
SELECT
    $carbon_version,
    $imported_us,
    $source,
    $digest;
