"""A driver that stands at NVML's C boundary, the captures that give it its looks, and the worlds it shows."""
