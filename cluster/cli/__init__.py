"""The command line: verbs only. Whatever is heavy is imported inside the verb that needs it."""
