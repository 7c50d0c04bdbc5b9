"""What is wrong in the original design document's front end (11), beside what `gateway.js` does instead."""

from typing import Any

import pytest
from playwright.async_api import Page

pytestmark = pytest.mark.slow

SLOW = 30_000

# The document's two effects, with React's rule that a new state object runs the effect again.
DOCUMENT = """
function polling(requestId, every, onSuccess) {
  let state = { requestId, status: "pending" }, stop = () => {}, starts = 0, polls = 0;
  const set = (next) => { state = next; effect(); };
  function effect() {
    stop();
    if (state.status === "completed" || state.status === "failed") return;
    starts += 1;
    const timer = setInterval(async () => {
      polls += 1;
      const response = await fetch(`/api/ai-status/${requestId}`);
      if (!response.ok) return;
      const data = await response.json();
      set(data);
      if (data.status === "completed") onSuccess();
    }, every);
    stop = () => clearInterval(timer);
  }
  effect();
  return { starts: () => starts, polls: () => polls, stop: () => stop() };
}
function realtime(requestId, channel, onSuccess) {
  let state = { requestId, status: "pending" };
  channel.onUpdate = (payload) => { state = { ...state, ...payload.new }; };
  return () => state;
}
"""

HELPERS = """
const { GatewayClient } = await import("/static/gateway.js");
const session = await (await fetch("/demo/session")).json();
const gateway = new GatewayClient({ getToken: async () => session.access_token });
const until = async (condition) => { while (!(await condition())) await new Promise((r) => setTimeout(r, 20)); };
const completed = async () => {
  const { requestId } = await gateway.generate("Shoes", "Nike");
  await until(async () => (await gateway.status(requestId)).status === "completed");
  return requestId;
};
"""


async def run(page: Page, demo: str, script: str) -> Any:
    await page.goto(demo)
    return await page.evaluate(f"async () => {{ {DOCUMENT} {HELPERS} {script} }}")


async def test_watching_what_does_not_exist_ends(page: Page, demo: str) -> None:
    page.expected_errors = ("404",)  # type: ignore[attr-defined]
    script = """
        const unknown = crypto.randomUUID();
        const document = polling(unknown, 20, () => {});
        await until(() => document.polls() > 20);
        document.stop();
        const errors = [];
        gateway.subscribe(unknown, () => {}, (error) => errors.push(error.code));
        await until(() => errors.length > 0);
        return [document.polls() > 20, errors];
    """
    assert await run(page, demo, script) == [True, ["not_found"]], (
        "the document polls for ever; the module says so once"
    )


async def test_a_change_does_not_restart_the_watch(page: Page, demo: str) -> None:
    script = """
        const first = await gateway.generate("Shoes", "Nike");
        const document = polling(first.requestId, 50, () => {});
        const opened = [];
        const Socket = WebSocket;
        globalThis.WebSocket = class extends Socket { constructor(...a) { super(...a); opened.push(1); } };
        const versions = [];
        await new Promise((done) => gateway.subscribe(first.requestId, (body) => {
          versions.push(body.version);
          if (body.status === "completed") done();
        }));
        document.stop();
        return { starts: document.starts(), opened: opened.length, versions };
    """
    found = await run(page, demo, script)
    assert found["starts"] > 2, "the document's interval begins anew at every answer"
    assert found["opened"] == 1
    assert found["versions"] == sorted(set(found["versions"]))


async def test_success_before_the_subscription_is_not_missed(page: Page, demo: str) -> None:
    script = """
        const requestId = await completed();
        let successes = 0;
        const channel = {};
        const state = realtime(requestId, channel, () => { successes += 1; });
        // The row had changed before SUBSCRIBED, so nothing comes; and if it did, it would be Supabase's row.
        const missed = state().status;
        channel.onUpdate({ new: { id: requestId, status: "completed", storage_key: "ai-images/x.png" } });
        const shown = state().publicUrl ?? null;
        const bodies = [];
        await new Promise((done) => gateway.subscribe(requestId, (body) => { bodies.push(body); done(); }));
        const picture = await fetch(bodies[0].publicUrl);
        return { missed, shown, successes, ours: bodies.map((body) => body.status), picture: picture.status };
    """
    found = await run(page, demo, script)
    assert (found["missed"], found["shown"], found["successes"]) == ("pending", None, 0)
    assert (found["ours"], found["picture"]) == (["completed"], 200)
