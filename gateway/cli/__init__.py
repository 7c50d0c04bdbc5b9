"""The command line: `gateway …`."""

from gateway.cli.commands import main

__all__ = ["main"]
