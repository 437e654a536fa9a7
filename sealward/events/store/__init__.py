"""The event store: appending, reading, and the rights of its roles in PostgreSQL."""
