"""The workflows to import, as far as their files tell. What they do in a real n8n is in `tests/real_n8n/`."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

WORKFLOWS = Path(__file__).parents[3] / "static" / "n8n"

SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}

SHORTEST_KEPT_WAIT = 65
"""n8n holds shorter waits of a Wait node in memory, and forgets them when it is restarted."""


class Workflow:
    """A workflow's nodes by name, and where their outputs lead."""

    def __init__(self, name: str) -> None:
        content = json.loads((WORKFLOWS / name).read_text())
        self.nodes: dict[str, dict[str, Any]] = {node["name"]: node for node in content["nodes"]}
        self._connections = content["connections"]

    def of_kind(self, kind: str) -> list[str]:
        return [name for name, node in self.nodes.items() if node["type"] == f"n8n-nodes-base.{kind}"]

    def after(self, name: str, output: int) -> list[str]:
        """The nodes to which an output leads: 0 for success or yes, 1 for an error or no."""
        outputs = self._connections.get(name, {}).get("main", [])
        return [target["node"] for target in outputs[output]] if output < len(outputs) else []

    def reached_from(self, names: list[str]) -> set[str]:
        reached: set[str] = set()
        while names:
            name = names.pop()
            if name not in reached:
                reached.add(name)
                names += self.after(name, 0) + self.after(name, 1)
        return reached

    def retries(self, name: str) -> tuple[int, float]:
        """How often n8n tries a node again by itself, and the pause before each, in seconds."""
        node = self.nodes[name]
        return (node["maxTries"] - 1, node["waitBetweenTries"] / 1000) if node.get("retryOnFail") else (0, 0.0)


FILES = pytest.mark.parametrize("name", ["ai-image.json", "ai-image-errors.json"])


@FILES
def test_the_last_callback_is_tried_for_at_least_ten_minutes(name: str) -> None:
    """However fast each try is refused: only the pauses count."""
    workflow = Workflow(name)
    (wait,) = workflow.of_kind("wait")
    (callback,) = workflow.after(wait, 0)
    assert re.search(r"\bcallbackUrl\b|/api/ai-callback$", workflow.nodes[callback]["parameters"]["url"])
    (again,) = (name for name in workflow.of_kind("if") if wait in workflow.after(name, 0))
    assert again in workflow.reached_from(workflow.after(callback, 1)), "a failure leads to the question"
    (condition,) = workflow.nodes[again]["parameters"]["conditions"]["conditions"]
    bound = re.fullmatch(r"=\{\{ \$runIndex < (\d+) \}\}", condition["leftValue"])
    assert bound is not None, condition["leftValue"]

    waits = int(bound[1])  # the question's own runs are counted from 0
    parameters = workflow.nodes[wait]["parameters"]
    waiting = parameters["amount"] * SECONDS[parameters["unit"]]
    retries, pause = workflow.retries(callback)
    assert (waits + 1) * retries * pause + waits * waiting >= 10 * 60
    assert waiting >= SHORTEST_KEPT_WAIT, "an n8n that is restarted goes on"


@FILES
def test_n8n_takes_the_retries_at_their_word(name: str) -> None:
    """It cuts greater numbers to these, and says nothing."""
    settings = [
        (node["maxTries"], node["waitBetweenTries"])
        for node in Workflow(name).nodes.values()
        if node.get("retryOnFail") or "maxTries" in node or "waitBetweenTries" in node
    ]
    assert settings
    for tries, milliseconds in settings:
        assert 2 <= tries <= 5
        assert 0 < milliseconds <= 5000  # and 0 is taken for unset


def test_the_provider_is_asked_once() -> None:
    """A second call is a second bill."""
    workflow = Workflow("ai-image.json")
    (provider,) = (name for name in workflow.of_kind("httpRequest") if "providerUrl" in str(workflow.nodes[name]))
    assert workflow.retries(provider) == (0, 0)
    assert provider not in workflow.reached_from(workflow.after(provider, 0) + workflow.after(provider, 1))
