"""Numbers into decisions: pure functions of arrays that return frozen records."""
