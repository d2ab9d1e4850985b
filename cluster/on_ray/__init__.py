"""The same on Ray: slots as actors, the connection, the autoscaler, metrics for Prometheus."""
