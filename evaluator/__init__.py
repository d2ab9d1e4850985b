"""One unit, one variant, one process: torch and pyarrow; no Ray, no statistics."""
