"""What is kept: the life of a request, its rows, its events and its assets.

Start with `lifecycle` (which status may follow which), then `queries` (every SQL statement on one page).
`requests`, `submissions` and `dispatching` are the operations on them, `database` the connection under them.
Nothing here imports from `gateway`.
"""
