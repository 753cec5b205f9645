"""What `doctor` checks, a file for each subject: one check that fails never hides another."""
