"""uvicorn, as it serves the gateway: protocols with bounds, processes, and a staged drain."""
