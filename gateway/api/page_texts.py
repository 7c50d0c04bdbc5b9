"""Puts texts into a page: where its markup says ``{{name}}``, and all of them as data for its scripts."""

import html
import json
import re
from collections.abc import Mapping

from gateway.settings.page_texts import default_texts

_NAMED = re.compile(r"\{\{(\w+)\}\}")


def with_texts(page: str, replaced: Mapping[str, object]) -> str:
    """The page with its texts: those in `replaced`, and English ones for the rest."""
    texts = {**default_texts(), **replaced}
    data = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
    # No tag can begin in it, so none ends it either.
    script = f'<script type="application/json" id="texts">{data.replace("<", chr(92) + "u003c")}</script>'
    filled = _NAMED.sub(lambda found: html.escape(str(texts[found[1]])), page)
    return filled.replace("</head>", f"  {script}\n  </head>", 1)
