"""The collector's HTTP face: parse, call, serialise; no SQL here."""
