"""The command line: `gateway …`, a module for each group of commands."""

from gateway.cli.commands import main

__all__ = ["main"]
