"""From a change to the clients that have subscribed: bus → hub → transports.

The bus carries the hint that a request has changed, with its Body; the database stays the truth. Adding a transport
is adding one file that registers a `Subscriber` with the `Hub` and writes what the subscriber hands out.
"""
