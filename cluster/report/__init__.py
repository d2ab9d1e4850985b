"""Renders what was decided; computes nothing."""
