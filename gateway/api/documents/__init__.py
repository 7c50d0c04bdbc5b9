"""OpenAPI and AsyncAPI, made from the code's types."""
