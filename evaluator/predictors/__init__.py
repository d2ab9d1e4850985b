"""Loaded variants: what turns a batch into predictions."""
