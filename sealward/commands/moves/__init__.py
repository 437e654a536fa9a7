"""On which node a sign is, and how it gets to another node."""
