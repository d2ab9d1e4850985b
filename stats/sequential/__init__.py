"""Decisions that are made while scores still arrive."""
