"""Tests of no difference among all arms."""
