"""Reports for other programs: a bill as FOCUS datasets, and as flat tables. Frames and documents in, frames out."""
