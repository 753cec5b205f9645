"""Enforcement: what schedulers ask before work starts, answered from memory."""
