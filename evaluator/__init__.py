"""Scores one unit of one variant in one process: torch and pyarrow, but no Ray and no statistics."""
