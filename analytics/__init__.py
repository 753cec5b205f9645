"""Pure analysis of what the ledger answers: Polars frames in, frames out."""
