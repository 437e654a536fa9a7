"""The database that the projections keep their rows in: SQLite or PostgreSQL, and replays."""
