"""Client of a Ray cluster: submit experiments over HTTP and find them again."""
