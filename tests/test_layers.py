"""Imports point one way: a package may use those below it, and none above."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("gateway.api", "gateway.realtime", "gateway.n8n", "gateway.operations", "storage")
ENTRANCES = (
    "gateway.app",
    "gateway.cli",
    "gateway.server.processes",
    "gateway.cli.check",
    "gateway.demo",
    "gateway.alerting.monitor",
)
"""What puts everything together, and is used by nothing inside."""


def imported(file: Path) -> Iterator[str]:
    """The modules that `file` imports anywhere, by their whole names."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_down(layer: str) -> None:
    files = sorted((ROOT / layer.replace(".", "/")).rglob("*.py"))
    above = (*LAYERS[: LAYERS.index(layer)], *ENTRANCES, *(("gateway",) if layer == "storage" else ()))
    found = [(str(file.relative_to(ROOT)), name) for file in files for name in imported(file) if is_in(name, above)]
    assert files
    assert found == []
