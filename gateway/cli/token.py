"""`gateway token`."""

import uuid

import click

from gateway.auth.sign_in import issue_code
from gateway.auth.tokens import issue_token
from gateway.cli.startup import load_settings


@click.command("token")
@click.option("--user", required=True, type=click.UUID, help="The user's id.")
@click.option("--admin", is_flag=True, help="With the role admin.")
@click.option("--expires", default=3600, show_default=True, type=click.IntRange(1), help="Lifetime in seconds.")
@click.option("--link", is_flag=True, help="Print a link that signs a browser in, once, instead of the token.")
def token_command(user: uuid.UUID, admin: bool, expires: int, link: bool) -> None:
    """Print an access token signed with SUPABASE_JWT_SECRET."""
    settings = load_settings()
    secret = settings.supabase_jwt_secret.get_secret_value()
    if not secret:
        raise click.ClickException("SUPABASE_JWT_SECRET is empty: only Supabase itself signs tokens of this project.")
    if link:
        code = issue_code(secret, str(user), admin=admin, lifetime=expires)
        click.echo(f"{settings.app_url}/sign-in#{code}")
        return
    click.echo(issue_token(secret, str(user), admin=admin, lifetime=expires))
