"""What `/metrics` says: its families, their text, and the ceiling on their number."""
