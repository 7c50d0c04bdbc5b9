"""Commands as a person types them, in this process."""

import asyncio

from click.testing import CliRunner, Result

from gateway.cli import main


def run(*arguments: str, expect: int = 0) -> str:
    """What the command prints, errors too."""
    return outcome(*arguments, expect=expect).output


def outcome(*arguments: str, expect: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == expect, (result.output, result.exception)
    return result


async def meanwhile(*arguments: str, expect: int = 0) -> Result:
    """The same beside servers of the test's own."""
    return await asyncio.to_thread(outcome, *arguments, expect=expect)
