"""The WebSocket transport: `/ws`."""
