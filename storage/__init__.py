"""What is kept: the life of a request, its rows, its events and its assets.

Start with `lifecycle` (which status may follow which), then `queries` (every SQL statement, a page for each subject).
`submissions`, `dispatch`, `transitions`, `reads` and their neighbours are the operations on them, `database` the
connections under them.
Nothing here imports from `gateway`.
"""
