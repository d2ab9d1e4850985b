"""Guardrails: what an arm must not make worse; one kind per file."""
