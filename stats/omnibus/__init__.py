"""Omnibus tests: whether there is any difference among all arms."""
