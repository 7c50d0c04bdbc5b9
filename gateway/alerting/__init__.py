"""Alerts: what operators should know, each notified once when it begins and once when it is resolved.

An alert is one row in the database, refreshed by every process that sees its cause (`heartbeat`, `monitor`). Whoever
claims the row for a moment notifies it (`notifier`); what could not be notified is notified later. The database's own
outage cannot be such a row (`database_outage`): which process notifies it is settled on Redis (`claims`).
"""
