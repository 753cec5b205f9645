-- The terms that the rate of a price entry follows from: list rate, what it is built up from, discount and exchange.
-- list_rate_quanta is NULL where it is the rate itself. stated_rate is in the entry's own currency, which is the book's
-- where it is empty. Entries of before have no terms: their rate is what their file says.
ALTER TABLE price_entries ADD COLUMN list_rate_quanta BIGINT;
ALTER TABLE price_entries ADD COLUMN stated_rate DECIMAL(18, 9);
ALTER TABLE price_entries ADD COLUMN capital_cost DECIMAL(18, 9);
ALTER TABLE price_entries ADD COLUMN depreciation_months INTEGER;
ALTER TABLE price_entries ADD COLUMN energy_price_per_kwh DECIMAL(18, 9);
ALTER TABLE price_entries ADD COLUMN pue DECIMAL(18, 9);
ALTER TABLE price_entries ADD COLUMN power_w DECIMAL(18, 9);
ALTER TABLE price_entries ADD COLUMN overhead_per_hour DECIMAL(18, 9);
ALTER TABLE price_entries ADD COLUMN overhead_percent DECIMAL(18, 9);
ALTER TABLE price_entries ADD COLUMN discount_percent DECIMAL(18, 9);
ALTER TABLE price_entries ADD COLUMN currency VARCHAR DEFAULT '';
ALTER TABLE price_entries ADD COLUMN exchange_rate DECIMAL(28, 12);
ALTER TABLE price_entries ADD COLUMN exchange_source VARCHAR DEFAULT '';
ALTER TABLE price_entries ADD COLUMN exchange_date VARCHAR DEFAULT '';
