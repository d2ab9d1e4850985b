"""The same evaluation, everywhere at once: schedule, driver, executors, command line."""
