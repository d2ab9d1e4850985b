"""Which unit is done next, and by whom: everything about a running run that needs no Ray."""
