"""What slots and arms cost, and what budgets allow."""
