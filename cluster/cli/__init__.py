"""The command line: one module per group of commands. Heavy imports happen inside the command that needs them."""
