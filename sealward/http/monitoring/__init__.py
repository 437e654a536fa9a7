"""Health for load balancers, and metrics for Prometheus."""
