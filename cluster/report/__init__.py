"""Gathers what a ledger says and renders it; decides nothing."""
