"""Past jobs from a scheduler's log become allocation usage on pools of GPUs."""
