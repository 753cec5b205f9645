"""Who holds a device: from the processes on it to the pod, Slurm job step, container or user behind them."""
