"""Documents of others that the ledger is held against."""
