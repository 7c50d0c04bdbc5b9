"""`gateway check`."""

import asyncio

import click

from gateway.cli.connections import find_all_problems


@click.command("check")
def check_command() -> None:
    """Try out the settings and every connection; report all problems at once."""
    problems = asyncio.run(find_all_problems())
    for problem in problems:
        click.echo(f"  - {problem}", err=True)
    if problems:
        raise click.ClickException(f"{len(problems)} problem{'s' if len(problems) > 1 else ''} found.")
    click.echo("Everything is in order.")
