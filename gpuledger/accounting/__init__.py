"""Pure arithmetic of the ledger: no clock, no files, no network, no randomness."""
