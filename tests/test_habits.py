"""What keeps the house in order is in order itself: the law of imports, pinned versions, commit messages, hooks."""

import importlib.metadata
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.markdown import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [
    Requirement(text)
    for texts in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in texts
    if not text.startswith(PROJECT["name"])
]


def test_imports_point_down() -> None:
    """The contracts of `pyproject.toml`, indirect imports included."""
    linter = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert linter is not None
    run = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def pins() -> dict[str, str]:
    lines = (ROOT / ".ci" / "constraints.txt").read_text().splitlines()
    pinned = [line.partition("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, _, version in pinned}


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_every_dependency_is_pinned_within_its_bounds(requirement: Requirement) -> None:
    pinned = pins()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(pinned), f"{requirement} excludes {pinned}: freeze the constraints anew"
    assert {clause.operator for clause in requirement.specifier} == {">=", "<"}, "both bounds are said"


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_the_lowest_versions_are_what_is_declared(requirement: Requirement) -> None:
    lines = runpy.run_path(str(ROOT / ".ci" / "lowest"))["constraints"]()
    lowest = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}
    name = canonicalize_name(requirement.name)
    bound = next(clause.version for clause in requirement.specifier if clause.operator == ">=")
    is_tool = requirement.name in {tool.name for tool in map(Requirement, PROJECT["optional-dependencies"]["dev"])}
    assert lowest[name] == (pins()[name] if is_tool else bound)
    assert lowest.keys() == pins().keys()


def test_what_dependencies_bring_along_is_pinned_too() -> None:
    unpinned = {
        canonicalize_name(needed.name)
        for requirement in REQUIREMENTS
        for text in importlib.metadata.requires(requirement.name) or ()
        if (needed := Requirement(text)).marker is None or needed.marker.evaluate({"extra": ""})
    } - set(pins())
    assert unpinned == set()


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        ("Bound what a delivery costs\n\nNothing noticed when it became slower.\n", []),
        ("Merge branch 'main' into house\n", []),
        ("x" * 72 + "\n\nWhy.\n# a comment\n", []),
        ("x" * 73 + "\n\nWhy.", ["1 to 72"]),
        ("", ["1 to 72", "why"]),
        ("Do it.\n\nWhy.", ["full stop"]),
        ("Do it\nat once\n\nWhy.", ["empty line"]),
        ("Do it\n\n# Please enter the commit message\n", ["why"]),
    ],
)
def test_commit_messages(message: str, wrong: list[str]) -> None:
    problems = runpy.run_path(str(ROOT / ".github" / "check-commit-message"))["problems"](message)
    assert len(problems) == len(wrong)
    for problem, word in zip(problems, wrong, strict=True):
        assert word in problem


def test_hooks_fetch_nothing_and_name_what_exists() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    for hook in repositories[0]["hooks"]:
        program = hook["entry"].split()[0]
        if program.startswith(".venv/bin/"):
            assert shutil.which(Path(program).name, path=str(Path(sys.executable).parent)), program
        elif "/" in program:
            assert (ROOT / program).stat().st_mode & 0o111, program
        assert hook["language"] == "system"


def test_nothing_depends_on_a_network_address_of_ours() -> None:
    for name in (".ci/constraints.txt", ".pre-commit-config.yaml", "tests/javascript/package-lock.json"):
        assert not re.search(r"--index-url|--find-links|\"resolved\"|file:", (ROOT / name).read_text()), name
