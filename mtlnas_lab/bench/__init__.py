"""NAS-Bench-Fusion: every small fusion graph trained once, so that any search can be judged in milliseconds."""
