"""Questions to the ledger: each module answers one, as a struct that becomes JSON, CSV or Arrow."""
