"""Which GPUs Slurm has given to which job: holder files of our prolog, job cgroups, and a check with the controller."""
