"""The command line: one file per group of commands; the rooms are imported inside commands only."""
