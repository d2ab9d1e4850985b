"""Runs slots on Ray: as actors, with the connection to the cluster, its autoscaler and metrics for Prometheus."""
