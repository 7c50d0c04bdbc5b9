"""The form's modules by themselves, in the browser that they are for."""

from playwright.async_api import Page

from tests.running import eventually


async def test_what_a_click_can_save(page: Page, demo: str) -> None:
    """One's own origin, and Supabase's public pictures when told; what is elsewhere, or leads there, only opens."""
    await page.goto(demo)
    found = await page.evaluate(
        """async () => {
            const { downloadUrl, fileName, isDownloadable } = await import("/static/ai-image-form/download.js");
            const elsewhere = "https://project.supabase.co/storage/v1/object/public/ai-images/x.png";
            return {
                own: isDownloadable("/storage/v1/object/public/ai-images/x.png"),
                supabase: [isDownloadable(elsewhere), downloadUrl(elsewhere, "Tea & Co.png").replace(elsewhere, "")],
                foreign: isDownloadable("https://cdn.example.com/x.png"),
                leading: isDownloadable("/api/ai-images/1/2"),
                names: [
                    fileName({ product: "../Tee & Co", brand: "Łódź?", storageKey: "ai-images/x.webp" }),
                    fileName({ product: "/", brand: "…", storageKey: null }),
                ],
            };
        }"""
    )
    assert found == {
        "own": True,
        "supabase": [True, "?download=Tea+%26+Co.png"],
        "foreign": False,
        "leading": False,
        "names": ["Tee-Co-Łódź.webp", "image.png"],
    }


async def test_the_time_since_the_submission_survives_a_wrong_clock(page: Page, demo: str) -> None:
    """This computer's clock is five minutes ahead of the gateway's, where ten seconds have passed."""
    await page.goto(demo)
    elapsed = await page.evaluate(
        """async () => {
            const { Requests } = await import("/static/ai-image-form/requests.js");
            const requests = new Requests({ onChange() {}, onAccepted() {}, onFinal() {}, onSignedOut() {} });
            const before = (seconds) => new Date(Date.now() - seconds * 1000).toISOString();
            const times = (created, updated) => ({ createdAt: before(created), updatedAt: before(updated) });
            const body = { requestId: "1", status: "processing", version: 2, ...times(310, 300) };
            const old = { requestId: "2", status: "failed", version: 3, ...times(999, 900) };
            requests.start({ requests: async () => ({ requests: [body, old] }), subscribe: () => () => {} });
            await requests.load(2);
            return requests.elapsed(body);
        }"""
    )
    assert 10 <= elapsed < 15


async def test_a_late_answer_s_request_is_found_in_spite_of_a_wrong_clock(page: Page, demo: str) -> None:
    """This computer's clock is five minutes ahead, as an earlier request has shown; another tab's request is older."""
    await page.clock.install()
    await page.goto(demo)
    await page.evaluate(
        """async () => {
            const { Requests } = await import("/static/ai-image-form/requests.js");
            const requests = new Requests({ onChange() {}, onAccepted() {}, onFinal() {}, onSignedOut() {} });
            const before = (seconds) => new Date(Date.now() - seconds * 1000).toISOString();
            const made = (requestId, seconds) => (
                { requestId, product: "Tea", brand: "Twinings", status: "processing", version: 2,
                  createdAt: before(seconds), updatedAt: before(seconds) }
            );
            let listed = [made("known", 301)];
            const gateway = { requests: async () => ({ requests: listed }), subscribe: () => () => {} };
            requests.start({ ...gateway, generate: () => new Promise(() => {}) });
            await requests.load(5);
            listed = [made("other tab", 400)];
            window.found = [];
            requests.submit("Tea", "Twinings", undefined, (requestId) => window.found.push(requestId));
            window.submitted = () => listed.push(made("ours", 300));
        }"""
    )
    await page.clock.fast_forward(1000)
    await page.evaluate("submitted()")
    await page.clock.fast_forward(1000)
    await eventually(lambda: page.evaluate("found.length"))
    assert await page.evaluate("found") == ["ours"]
