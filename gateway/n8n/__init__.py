"""The other way out: requests to n8n's webhook, and what n8n says of them."""
