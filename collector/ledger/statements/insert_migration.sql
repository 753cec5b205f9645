INSERT INTO migrations (number, name, digest, applied_us) VALUES ($number, $name, $digest, $applied_us)
