"""Measurements: every figure that the README quotes comes from here, as a ratio to a baseline in the same run."""
