"""Prices and owners: their files, read with precise errors, and their import into the ledger as versions."""
