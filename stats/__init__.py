"""Statistics: pure functions that turn arrays of scores into frozen records of comparisons and decisions."""
