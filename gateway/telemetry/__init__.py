"""What operators see: logs, metrics, what went wrong one by one, and rules for Prometheus."""
