"""The distribution of the values of each column, computed in one pass over streamed rows."""
