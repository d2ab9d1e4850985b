"""Tests of the readers of each format."""
