"""What is shown in the terminal, one file for each thing that is shown."""
