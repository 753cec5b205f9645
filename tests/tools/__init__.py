"""Real MLOps tools start processes here, and our reader and rules say what they are. See `make test-tools`."""
