"""Verification: scores a committed run again and compares bit for bit."""
