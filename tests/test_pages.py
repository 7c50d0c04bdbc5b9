"""Every page says what is so: links lead on, commands exist, settings, states and modules are all named."""

import ast
import re
import shlex
import tomllib
from pathlib import Path

import click
import msgspec
import pytest
import yaml
from pydantic import AliasChoices

from gateway.cli import main
from gateway.settings import Settings
from storage.lifecycle import ERROR_CODES, TRANSITIONS, Event
from tests.markdown import ROOT, anchors, code, links, pages, table, without_code

PAGES = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages()]
each_page = pytest.mark.parametrize("page", PAGES)

ROOMS = ("gateway", "gateway/api", "gateway/cli", "gateway/realtime", "gateway/server", "gateway/telemetry", "static")
LONGEST_LINE = 120


def test_every_room_has_a_doorplate() -> None:
    for room in (*ROOMS, "storage", "tests", "tests/benchmarks/engine", "."):
        assert (ROOT / room / "README.md").is_file(), room
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for target, part in links(page):
        assert target.exists(), f"{target} does not exist"
        if part:
            assert part in anchors(target), f"{target} has no part #{part}"


@pytest.mark.parametrize("page", [page for page in PAGES if page.id != "CHANGELOG.md"])
def test_lines_can_be_read_in_an_editor(page: Path) -> None:
    for number, line in enumerate(page.read_text().splitlines(), 1):
        assert len(line) <= LONGEST_LINE or line.startswith(("|", "<")), f"line {number} has {len(line)} characters"


@each_page
def test_python_can_be_pasted(page: Path) -> None:
    for block in code(page, "python"):
        ast.parse(block) if "await" not in block or "async def" in block else ast.parse(f"async def f():\n{_in(block)}")


def _in(block: str) -> str:
    return "".join(f"    {line}\n" for line in block.splitlines())


@each_page
def test_json_and_yaml_are_such(page: Path) -> None:
    for block in code(page, "json"):
        msgspec.json.decode(block.replace("Body…", "").replace("id…", ""))
    for block in code(page, "yaml"):
        assert yaml.safe_load(block)


@each_page
def test_commands_exist_with_their_options(page: Path) -> None:
    shell = "\n".join(code(page, "bash"))
    for line in re.findall(r"(?:^|\.venv/bin/|&& )gateway ([a-z].*)$", shell, re.MULTILINE):
        words = shlex.split(re.split(r"[>&|]", line)[0], comments=True)
        command = main.get_command(click.Context(main), words[0])
        assert command is not None, line
        options = {name for option in command.params if isinstance(option, click.Option) for name in option.opts}
        assert {word for word in words if word.startswith("-")} <= options, line


@each_page
def test_modules_that_are_run_exist(page: Path) -> None:
    for module in re.findall(r"python -m (tests[\w.]*)", page.read_text()):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


@each_page
def test_files_that_are_named_exist(page: Path) -> None:
    """In the first column of a table of files, and wherever a path is quoted with a folder and a suffix."""
    text = without_code(page.read_text())
    for name in re.findall(r"`((?:\.\./)*(?:[\w.-]+/)+[\w-]+\.(?:py|js|json|yml|toml|txt|md))`", text):
        assert any((folder / name).exists() for folder in (page.parent, ROOT, ROOT / "gateway")), name
    for row in re.findall(r"^\| ((?:`[\w./-]+`[ ,]*)+) \|", text, re.MULTILINE):
        for name in re.findall(r"`([\w./-]+\.(?:py|js|css|html)|[\w-]+/)`", row):
            assert (page.parent / name).exists(), name


def test_every_setting_is_explained_and_nothing_else() -> None:
    rows = table(ROOT / "gateway" / "server" / "README.md", "Settings", "setting")
    explained = {name for row in rows for name in re.findall(r"`([A-Z0-9_]+)`", row)}
    from_outside = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"}
    names = {"NEXT_PUBLIC_APP_URL"}
    for name, field in Settings.model_fields.items():
        assert field.validation_alias is None or isinstance(field.validation_alias, AliasChoices)
        names.add(name.upper())
    assert explained - from_outside == names


def test_defaults_are_those_of_the_code() -> None:
    for row, (default, *_) in table(ROOT / "gateway" / "server" / "README.md", "Settings", "setting").items():
        fields = [Settings.model_fields.get(name.lower()) for name in re.findall(r"`([A-Z0-9_]+)`", row)]
        numbers = re.findall(r"(?<![\w.:/])\d+(?![\w.:/])", default)
        if numbers:
            assert [float(number) for number in numbers] == [float(f.default) for f in fields if f is not None], row


def test_every_event_stands_in_the_table_of_states() -> None:
    rows = table(ROOT / "storage" / "README.md", "States", "event")
    for event in Event:
        sources, target, code_of_error, *_ = rows[f"`{event}`"]
        found = [(before, after) for before, cause, after in TRANSITIONS if cause is event]
        assert sources.split(", ") == [str(before) for before, _ in found], event
        assert {target} == {str(after) for _, after in found}, event
        assert code_of_error.strip("`") == ERROR_CODES.get(event, ""), event


def test_every_module_of_realtime_and_storage_is_named() -> None:
    for room in ("gateway/realtime", "storage"):
        text = (ROOT / room / "README.md").read_text()
        for path in (ROOT / room).iterdir():
            if path.suffix == ".py" and path.name != "__init__.py":
                assert f"`{path.name}`" in text, path


def test_ci_runs_the_readme_s_command() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "<!-- the test command -->" in script
    (command,) = [block for block in code(ROOT / "README.md", "bash") if "[dev]" in block]
    assert (ROOT / "README.md").read_text().partition("<!-- the test command -->\n```bash\n")[2].startswith(command)
    assert command.count("\n") == 1


def test_the_law_of_imports_is_the_one_that_is_drawn() -> None:
    """Every layer of the contract stands in the table of rooms, in the same order."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["containers"] == ["gateway"])
    page = (ROOT / "gateway" / "README.md").read_text()
    rooms = page.partition("## The rooms")[2].partition("## Three journeys")[0]
    places = []
    for layer in layers:
        names = [name.strip() for name in layer.split("|")]
        found = [at for name in names if (at := _place(rooms, name)) is not None]
        assert found or names == ["__main__"], layer
        places.append(found)
    flat = [at for found in places for at in sorted(found)]
    assert flat == sorted(flat)


def _place(text: str, name: str) -> int | None:
    found = re.search(rf"`{name}(?:/|\.py)`", text)
    return None if found is None else found.start()


def test_every_command_is_explained() -> None:
    page = (ROOT / "gateway" / "cli" / "README.md").read_text()
    for name in main.list_commands(click.Context(main)):
        assert re.search(rf"`(?:gateway )?{name}\b", page), name
