"""What went wrong, in two texts: a sentence for the user, and n8n's own words for the operator.

n8n's nodes word an error for the workflow's author ("Try spacing your requests out using the batching settings…"). A
user can do nothing with that, and what the provider really said stands beside it, in the description.
"""

import json
import re
import unicodedata
from collections.abc import Collection, Iterator

import msgspec

from gateway.auth.redaction import text_without
from gateway.n8n.decoding import Undecodable, decode

MAX_ERROR = 2000
"""Longest error message kept, in characters."""

UNKNOWN_ERROR = "Unknown error"

_MAX_TEXTS = 12
"""Most texts of one error that are read."""

_SECOND_TEXTS = ("description", "messages", "error", "cause", "errorMessage", "httpCode")

_BUSY = "The image service is busy. Please try again in a few minutes."
_REFUSED = "The image service did not accept the request."
_NO_ACCESS = "The image service cannot be used at the moment."
_AWAY = "The image service is not available at the moment. Please try again later."
_BROKEN = "The workflow failed. Please try again."
_INTERRUPTED = "The workflow was interrupted. Please try again."

# n8n's standing texts (`node-api.error.ts` in n8n-workflow), and by what each may be known in other versions.
_STANDING = (
    (re.compile(r"(too many requests from you|batching settings|spacing your requests)", re.IGNORECASE), _BUSY),
    (re.compile(r"(check your credentials|check your payment|^payment required -)", re.IGNORECASE), _NO_ACCESS),
    (
        re.compile(
            r"(please check your parameters|^your request is invalid or could not be processed|right HTTP method"
            r"|^the resource you are requesting could not be found)",
            re.IGNORECASE,
        ),
        _REFUSED,
    ),
    (
        re.compile(
            r"(perhaps (it|the server) is offline|the service (failed|was not able) to (process|handle) your request"
            r"|^gateway timed out - perhaps|^service unavailable - try again later or|incorrect host \(domain\)"
            r"|^the connection (timed out, consider|cannot be established, this usually)|right IP address)",
            re.IGNORECASE,
        ),
        _AWAY,
    ),
    (
        re.compile(
            r"(node settings|'Retry on Fail'|under 'Options'|check the detailed error|in the node's|this node"
            r"|on the canvas|'Execute (workflow|step|node)'|the workflow must be active|using the toggle"
            r"|does not have any credentials|credential with ID|referenced node|paired item|problem in node"
            r"|needs to be valid json|data for expression|invalid expression|doesn't return items"
            r"|^cannot read propert|is not (defined|a function|iterable)( \[line|$)|\[line \d+)",
            re.IGNORECASE,
        ),
        _BROKEN,
    ),
    (
        re.compile(
            r"(^workflow did not finish|possible out-of-memory|^(the )?execution was (cancell?ed|stopped|aborted)"
            r"|^task (request|execution|runner))",
            re.IGNORECASE,
        ),
        _INTERRUPTED,
    ),
)


def clean_text(text: str, most: int = MAX_ERROR, secrets: Collection[str] = ()) -> str:
    """`text` on one line, without control characters and half surrogate pairs, at most `most` characters, without
    the `secrets`."""
    text = text_without(secrets, text)
    cleaned = "".join(
        character if unicodedata.category(character) not in ("Cc", "Cs") else " " for character in text[: 4 * most]
    )
    return " ".join(cleaned.split())[:most]


def explain(error: object, secrets: Collection[str] = ()) -> tuple[str, str | None]:
    """What the user reads of `error`, never empty, and what only the operator does, where that says more;
    both without the `secrets`."""
    text, answer = _main_text(error)
    text = clean_text(text, secrets=secrets)
    if not text and answer is not None:
        return _sentence_of_status(int(answer["status"])), clean_text(answer[0], secrets=secrets)
    sentence = _sentence_instead_of(text)
    if sentence is None:
        return text or UNKNOWN_ERROR, None
    texts = [text]
    for other in (clean_text(other, secrets=secrets) for other in _texts(error)):
        if other and other not in texts:
            texts.append(other)
    said = next((other for other in texts[1:] if _says_something(other)), None)
    message = sentence if said is None else f"{sentence.partition('.')[0]}: {said}"
    return message[:MAX_ERROR], " | ".join(texts)[:MAX_ERROR]


def _sentence_instead_of(text: str) -> str | None:
    return next((sentence for standing, sentence in _STANDING if standing.search(text)), None)


def _sentence_of_status(status: int) -> str:
    known = {401: _NO_ACCESS, 402: _NO_ACCESS, 403: _NO_ACCESS, 429: _BUSY}
    return known.get(status) or (_AWAY if status >= 500 else _REFUSED)


def _says_something(text: str) -> bool:
    return any(map(str.isalpha, text)) and _sentence_instead_of(text) is None


# How n8n's HTTP Request node words an answer of an error status: `400 - "{\\"error\\": …}"`, JSON in a JSON string; and
# what a workflow's author may have put before it.
_ANSWER = re.compile(r'(?:(?P<before>[^{}]{1,200}?: )?(?P<status>\d{3}) - )?(?P<content>"?\{.*\}"?)', re.DOTALL)


def _main_text(error: object) -> tuple[str, re.Match[str] | None]:
    """The text inside n8n's various error objects, which nest a few levels deep, and the answer that it was in, if that
    had a status."""
    told, before = None, ""
    for _ in range(8):
        if isinstance(error, dict):
            error = error.get("message") or error.get("description") or error.get("error") or list(error.items())
        elif isinstance(error, str) and (answer := _ANSWER.fullmatch(error)):
            told = answer if answer["status"] else told
            try:
                error = decode(answer["content"].encode(errors="surrogatepass"))
            except Undecodable:
                break
            before += answer["before"] or ""
        else:
            break
    if isinstance(error, str):
        return before + error if error else "", told
    if error in (None, [], {}, False):
        return "", told
    try:
        return msgspec.json.encode(error).decode(), told
    except (UnicodeEncodeError, RecursionError, OverflowError):
        return json.dumps(error, default=str), told


def _texts(error: object, depth: int = 8) -> Iterator[str]:
    """The other texts of an error object, the likeliest to explain it first."""
    if depth == 0:
        return
    if isinstance(error, str):
        answer = _ANSWER.fullmatch(error)
        try:
            content = None if answer is None else decode(answer["content"].encode(errors="surrogatepass"))
        except Undecodable:
            content = None
        if isinstance(content, dict):
            yield from _texts(content, depth - 1)
        else:
            yield error
    elif isinstance(error, list):
        for item in error[:_MAX_TEXTS]:
            yield from _texts(item, depth - 1)
    elif isinstance(error, dict):
        for name in (*_SECOND_TEXTS, "message"):
            yield from _texts(error.get(name), depth - 1)
