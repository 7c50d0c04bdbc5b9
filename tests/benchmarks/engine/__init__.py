"""The gateway's engine beside its peers, in one run: `python -m tests.benchmarks.engine`. See README.md."""
