"""The rows of the table: each module measures a few of them on a stand of its own."""

from tests.benchmarks.engine.rows import chain, growth, http, realtime

__all__ = ["chain", "growth", "http", "realtime"]
