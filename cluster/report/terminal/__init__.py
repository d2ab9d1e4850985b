"""Terminal output, one module per kind of result."""
