"""The ledger on disk: the only room that knows DuckDB."""
