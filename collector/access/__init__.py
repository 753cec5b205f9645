"""Who may do what: tokens and identities, the table of roles, and the rows that a bound identity sees."""
