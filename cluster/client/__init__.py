"""Submitting experiments to a Ray cluster over HTTP, and finding them again."""
