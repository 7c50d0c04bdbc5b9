"""Who is asking: a user, an administrator, or n8n."""
