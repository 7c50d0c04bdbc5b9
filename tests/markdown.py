"""Our pages as the tests read them: headings, links, tables, blocks of code."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[1]


def pages() -> list[Path]:
    """Every page of the project."""
    skipped = {".venv", "node_modules", ".n8n", ".nextjs", ".supabase-clients", ".pytest_cache", "build", "dist"}
    found = (path for path in ROOT.rglob("*.md") if not skipped & set(path.relative_to(ROOT).parts))
    return sorted(found)


def without_code(text: str) -> str:
    """`text` without its fenced and indented blocks of code."""
    text = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(?<=\n\n)(?: {4}.*\n)+", "", text)


def anchors(page: Path) -> set[str]:
    """What links to parts of the page may name, as GitHub makes it of headings."""
    headings = re.findall(r"^#+ (.+)$", without_code(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Each link and picture within the project: the file, and the part of it ("" for the whole)."""
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if not re.match(r"\w+:", target):
            path, _, part = target.partition("#")
            yield (page.parent / unquote(path)).resolve() if path else page, part


def code(page: Path, language: str) -> list[str]:
    """The fenced blocks in `language`."""
    blocks = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in blocks]


def table(page: Path, heading: str, first: str) -> dict[str, list[str]]:
    """The rows of the table under `heading` whose first column is called `first`, by what stands in that column."""
    section = re.split(rf"^#+ {re.escape(heading)}$", page.read_text(), flags=re.MULTILINE)[1]
    found = re.search(rf"^\| {first} \|.*\n\| -.*\n((?:\|.*\n)+)", section, re.MULTILINE)
    assert found is not None, f"{page} has no table {first!r} under {heading!r}"
    rows = [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in found[1].splitlines()]
    return {row[0]: row[1:] for row in rows}
