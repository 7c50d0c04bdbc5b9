"""The document's app, for as long as it still connects to n8n: here it never gets further.

python -m tests.original_design.dying_document PORT
"""

import asyncio
import os
import sys

import uvicorn

from tests.original_design.document import Document


class Connecting(Document):
    """A name to be looked up, a connection to be made: n8n has nothing yet."""

    async def send(self, user: str, payload: dict[str, str]) -> None:
        await asyncio.Event().wait()


if __name__ == "__main__":
    document = Connecting(os.environ["PROJECT_URL"], os.environ["N8N_WEBHOOK_URL"], "10", "anon")
    uvicorn.run(document.app, port=int(sys.argv[1]), log_config=None, lifespan="off")
