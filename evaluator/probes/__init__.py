"""What is measured on a loaded variant beside its scores: batch-size sensitivity and latency."""
