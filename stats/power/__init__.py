"""Power analysis: rows needed to detect an effect, and the minimum effect that given rows can detect."""
