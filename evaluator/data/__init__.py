"""Rows: read, checked, frozen, read back."""
