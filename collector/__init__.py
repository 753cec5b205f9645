"""The collector: takes batches in, keeps the ledger, prices it and answers questions about it."""
