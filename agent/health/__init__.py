"""Health: what the driver's and the kernel's reports mean, as events, as faults and as reasons for idleness."""
