"""The state of this process that all code in it shares, and who changes it."""
