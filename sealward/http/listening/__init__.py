"""The HTTP server: connections, TLS, reverse proxies, and the limits of a connection."""
