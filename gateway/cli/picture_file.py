"""Where a picture is saved: looked at before it is paid for, written when it is there."""

import os
import sys
import tempfile
from pathlib import Path

import click

STDOUT = Path("-")


def check_output(output: Path, *, force: bool) -> None:
    """Stop with a sentence if the picture could not be written there."""
    if output == STDOUT:
        if sys.stdout.isatty():
            raise click.ClickException("A picture is no text: send it elsewhere with `> picture.png`.")
        return
    folder = output.absolute().parent
    if not folder.is_dir():
        raise click.ClickException(f"The folder {folder} does not exist.")
    if output.is_dir():
        raise click.ClickException(f"{output} is a folder: name the file, too.")
    if output.exists() and not force:
        raise click.ClickException(f"{output} exists. Choose another name, or overwrite it with --force.")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        if output.exists() and not os.access(output, os.W_OK):
            raise PermissionError(f"{output} is write-protected")
    except OSError as error:
        raise click.ClickException(f"Nothing can be written into {folder} ({error.strerror or error}).") from None


def write_picture(output: Path, picture: bytes, *, force: bool) -> None:
    """Write the picture.

    Raises:
        OSError: it cannot be written, or without `force` the file exists by now.
    """
    if output == STDOUT:
        sys.stdout.buffer.write(picture)
        sys.stdout.buffer.flush()
        return
    with output.open("wb" if force else "xb") as file:
        file.write(picture)
