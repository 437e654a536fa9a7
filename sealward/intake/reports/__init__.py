"""Reports of nodes: verified, counted against quotas, turned into commands."""
