"""Samplers: one family of telemetry a file, one table that lists them, and what runs them on a board."""
