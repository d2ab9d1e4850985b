"""Processes for variants: a slot keeps a zygote, which forks a fresh worker for each variant."""
