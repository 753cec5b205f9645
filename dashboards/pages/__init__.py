"""One file a page: what it asks the collector, and where each piece stands."""
