"""How the values of each column are spread, made while rows stream by."""
