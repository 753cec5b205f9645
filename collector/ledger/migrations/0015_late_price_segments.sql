-- Time that was closed without a price gets one by the part of its hour, as charges have one.
ALTER TABLE late_prices ADD COLUMN offset_us BIGINT DEFAULT 0;
