"""The compliance report: an audit log of a period as an auditor reads it. Events in, one report out; pure."""
