"""Where readings of GPUs come from: the NVML driver, or a simulated one at the same C boundary."""
