"""The suite. Servers are real: PostgreSQL and Valkey come from wheels, Chromium from the system."""
