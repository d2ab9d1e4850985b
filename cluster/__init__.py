"""The same evaluation, everywhere at once: schedule, driver, executors, clients, command line."""
