"""Alerts: what operators should know, each notified once when it begins and once when it is resolved."""
