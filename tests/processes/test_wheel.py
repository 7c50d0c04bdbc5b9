"""The built wheel: installed alone, in an empty folder, it finds its pages and its migrations."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.processes.spawning import GatewayProcess
from tests.servers import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with nothing but the installed wheel."""
    wheels, target = tmp_path / "wheels", tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", wheels, ROOT], check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    assert wheel.name.startswith("ai_image_gateway-")
    names = zipfile.ZipFile(wheel).namelist()
    pages = ("index.html", "n8n/ai-image.json", "n8n/ai-image-errors.json")
    assert {*(f"gateway/static/{name}" for name in pages), "storage/migrations/versions/0001_requests.py"} <= set(names)
    assert not [name for name in names if name.startswith("tests/")]
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True, capture_output=True)
    return target


def test_the_wheel_runs_alone(installed: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    port = free_port()
    process = GatewayProcess("demo", "--port", str(port), folder=empty, environment={"PYTHONPATH": str(installed)})
    try:
        process.wait_for("The gateway's demo runs at")
        import httpx

        for path, text in (("/", "<ai-image-form"), ("/static/gateway.js", "export * from")):
            answer = httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False)
            assert answer.status_code == 200
            assert text in answer.text
        where = subprocess.run(
            [sys.executable, "-c", "import gateway, storage; print(gateway.__file__, storage.__file__)"],
            cwd=empty,
            env={"PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        assert all(Path(path).is_relative_to(installed) for path in where)
    finally:
        process.close()
