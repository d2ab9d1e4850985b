"""Rows: read, checked, frozen and read back."""
