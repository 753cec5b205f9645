"""Policies as data: read from a file, kept in versions, and made into the adjustments of a bill."""
