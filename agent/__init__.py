"""The per-node agent: reads GPUs, finds who holds them, meters, spools and ships. No database, no data frames."""
