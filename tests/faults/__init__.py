"""The checker of the realtime promise: clients, a writer, a nemesis, and a judge of the recorded history.

    python -m tests.faults --rounds 3          every fault three times; prints the table of tests/README.md

`history` holds what was recorded and the judge, `watching` the clients of all transports, `writing` the lives of the
requests, `nemesis` the faults, `stand` the servers and processes, `checking` one run from beginning to end.
"""
