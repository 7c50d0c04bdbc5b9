"""The HTTP endpoints, one file for a group. Each parses, calls storage, and answers."""
