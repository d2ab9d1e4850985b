"""An experiment file, checked: every reference resolved to a digest before a slot is asked for."""
