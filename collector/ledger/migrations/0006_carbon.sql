-- Carbon intensity of the grid by region and hour, import by import; the newest import of an hour counts.
-- A price entry names the region of the devices that it is for; its constant stands in for hours without a value.
CREATE TABLE carbon_imports (
    carbon_version INTEGER PRIMARY KEY,
    imported_us BIGINT NOT NULL,
    source VARCHAR NOT NULL,
    digest BLOB NOT NULL
);

CREATE TABLE carbon_hours (
    carbon_version INTEGER NOT NULL,
    region VARCHAR NOT NULL,
    hour_us BIGINT NOT NULL,
    g_per_kwh DECIMAL(18, 6) NOT NULL
);

ALTER TABLE price_entries ADD COLUMN carbon_region VARCHAR DEFAULT '';

CREATE VIEW carbon_known AS
SELECT
    region,
    hour_us,
    arg_max(g_per_kwh, carbon_version) AS g_per_kwh
FROM carbon_hours
GROUP BY region, hour_us;
