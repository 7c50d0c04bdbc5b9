"""The narrow interface to the database, the same on SQLite and PostgreSQL."""
