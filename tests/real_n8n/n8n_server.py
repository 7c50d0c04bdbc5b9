"""A real n8n: installed from its package, with our workflows imported and published by its own command line."""

import json
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.real_n8n.installation import Version, installed
from tests.servers import free_port

WORKFLOWS = Path(__file__).parents[2] / "static" / "n8n"
START_SECONDS = 120.0
STEP_SECONDS = 300.0
"""Longest time for one command of n8n's."""


class RealN8n:
    """One n8n process on 127.0.0.1, with a SQLite file of its own unless `environment` says otherwise."""

    def __init__(self, version: Version, **environment: str) -> None:
        self.version = version
        installation = installed(version)
        self.program = installation.program
        self.folder = Path(tempfile.mkdtemp(prefix="gateway-n8n-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = installation.environment | {
            "N8N_USER_FOLDER": str(self.folder),
            "N8N_ENCRYPTION_KEY": "k" * 32,
            "N8N_LISTEN_ADDRESS": "127.0.0.1",
            "N8N_PORT": str(self.port),
            "N8N_RUNNERS_BROKER_LISTEN_ADDRESS": "127.0.0.1",
            "N8N_RUNNERS_BROKER_PORT": str(free_port()),
            "N8N_DISABLE_UI": "true",
            "N8N_DIAGNOSTICS_ENABLED": "false",
            "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
            "N8N_TEMPLATES_ENABLED": "false",
            "N8N_PERSONALIZATION_ENABLED": "false",
            "N8N_COMMUNITY_PACKAGES_ENABLED": "false",
            "N8N_SECURE_COOKIE": "false",
            "DB_TYPE": "sqlite",
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.worker: subprocess.Popen[bytes] | None = None
        self.api_key = ""
        self.answers_while_booting: list[httpx.Response] = []

    # -- before the start ---------------------------------------------------------------------------------------------

    def command(self, *arguments: str) -> None:
        done = subprocess.run(
            [self.program, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=STEP_SECONDS,
        )
        if done.returncode != 0:
            raise RuntimeError(f"n8n {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")

    def import_credentials(self, credentials: list[dict[str, Any]]) -> None:
        file = self.folder / "credentials.json"
        file.write_text(json.dumps(credentials))
        self.command("import:credentials", f"--input={file}")

    def import_workflows(self, workflows: list[dict[str, Any]]) -> None:
        """Import and publish, as an operator without the editor does it."""
        folder = self.folder / "workflows"
        folder.mkdir(exist_ok=True)
        for workflow in workflows:
            (folder / f"{workflow['id']}.json").write_text(json.dumps(workflow))
        self.command("import:workflow", "--separate", f"--input={folder}")
        for workflow in workflows:
            self.command("publish:workflow", f"--id={workflow['id']}")

    # -- running ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start, and return once the webhook is registered. What it answers on the way is kept."""
        self.process = self._spawn("start")
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                # A wrong secret: the question whether the webhook is there must not start a workflow.
                answer = httpx.post(f"{self.url}/webhook/ai-image", headers={"X-Webhook-Secret": "no"}, timeout=5)
            except httpx.HTTPError:
                pass
            else:
                if answer.status_code == 403:
                    return
                self.answers_while_booting.append(answer)
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"n8n did not start:\n{self.log()}")

    def start_worker(self) -> None:
        """Start who does the work in queue mode."""
        ports = {name: str(free_port()) for name in ("N8N_RUNNERS_BROKER_PORT", "QUEUE_HEALTH_CHECK_PORT")}
        self.worker = self._spawn("worker", **ports)

    def _spawn(self, command: str, **environment: str) -> "subprocess.Popen[bytes]":
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [self.program, command],
                env=self.environment | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def log(self) -> str:
        return (self.folder / "log").read_text()[-8000:]

    def make_api_key(self) -> None:
        """Set up an owner and a key for n8n's public API, as its editor would."""
        owner = {"email": "owner@example.com", "firstName": "O", "lastName": "W", "password": "Owner-Passw0rd"}
        with httpx.Client(base_url=self.url, timeout=30) as http:
            http.post("/rest/owner/setup", json=owner).raise_for_status()
            scopes = ["execution:read", "execution:list", *(["execution:stop"] if self.version.can_stop else [])]
            wanted = {"label": "gateway", "expiresAt": None, "scopes": scopes}
            made = http.post("/rest/api-keys", json=wanted)
            made.raise_for_status()
            self.api_key = made.json()["data"]["rawApiKey"]

    def kill(self) -> None:
        """Kill -9, task runners too."""
        for process in filter(None, (self.process, self.worker)):
            for member in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
                try:
                    member.send_signal(signal.SIGKILL)
                except psutil.NoSuchProcess:
                    continue
            process.wait()
        self.process = self.worker = None
