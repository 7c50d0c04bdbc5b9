"""What the dashboard shows and does."""
