"""`gateway check`."""

import asyncio

import click
import msgspec

from gateway.cli.probes.everything import try_everything
from gateway.cli.probes.finding import Finding, State

COLORS = {State.OK: "green", State.WARNING: "yellow", State.PROBLEM: "red"}


@click.command("check")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check_command(as_json: bool) -> None:
    """Try out the settings and every connection; report all problems at once.

    Nothing is changed and no workflow is started. The status is 1 if there is a problem.
    """
    findings = asyncio.run(try_everything())
    problems = sum(finding.state is State.PROBLEM for finding in findings)
    if as_json:
        click.echo(msgspec.json.encode({"ok": problems == 0, "findings": findings}).decode())
    else:
        for finding in findings:
            click.echo(_line(finding))
        click.echo(
            f"{problems} problem{'s' if problems > 1 else ''} found." if problems else "Everything is in order.",
            err=problems > 0,
        )
    if problems:
        click.get_current_context().exit(1)


def _line(finding: Finding) -> str:
    state = click.style(f"{finding.state:<9}", fg=COLORS.get(finding.state, "bright_black"))
    return f"{state}  {finding.about}: {finding.detail}"
