"""What operators see: logs, metrics, what went wrong one by one, charts, and rules for Prometheus."""
