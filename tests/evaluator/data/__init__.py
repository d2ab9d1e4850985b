"""Tests of reading, checking, freezing and reading back."""
