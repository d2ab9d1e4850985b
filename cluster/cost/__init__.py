"""What slots cost, what budgets allow, what each arm has cost."""
