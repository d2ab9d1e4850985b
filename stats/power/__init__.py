"""How many rows resolve a difference, and which difference the rows at hand could resolve."""
