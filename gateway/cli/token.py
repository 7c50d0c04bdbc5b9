"""`gateway token`."""

import uuid

import click

from gateway.auth.tokens import issue_token
from gateway.cli.startup import load_settings


@click.command("token")
@click.option("--user", required=True, type=click.UUID, help="The user's id.")
@click.option("--admin", is_flag=True, help="With the role admin.")
@click.option("--expires", default=3600, show_default=True, type=click.IntRange(1), help="Lifetime in seconds.")
def token_command(user: uuid.UUID, admin: bool, expires: int) -> None:
    """Print an access token signed with SUPABASE_JWT_SECRET."""
    secret = load_settings().supabase_jwt_secret.get_secret_value()
    if not secret:
        raise click.ClickException("SUPABASE_JWT_SECRET is empty: only Supabase itself signs tokens of this project.")
    click.echo(issue_token(secret, str(user), admin=admin, lifetime=expires))
