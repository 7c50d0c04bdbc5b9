"""What users read of an error, and what only operators do."""

import json
from typing import Any

import pytest

from gateway.n8n.answers import classify
from gateway.n8n.error_messages import MAX_ERROR, explain
from gateway.n8n.execution_data import outcome_of
from gateway.n8n.reports import Failed
from tests import n8n_recordings
from tests.people import Person
from tests.running import RunningGateway

BATCHING = {
    "message": "The service is receiving too many requests from you",
    "description": "Try spacing your requests out using the batching settings under 'Options'",
    "httpCode": "429",
}
CREDENTIALS = {"message": "Bad request - please check your parameters", "description": "Unauthorized"}

# n8n's standing texts (`node-api.error.ts`), all written for the author of the workflow.
ADVICE = [
    "Your request is invalid or could not be processed by the service",
    "Bad request - please check your parameters",
    "Bad request - please check your parameters (item 0)",
    "Authorization failed - please check your credentials",
    "Payment required - perhaps check your payment details?",
    "Forbidden - perhaps check your credentials?",
    "The resource you are requesting could not be found",
    "Method not allowed - please check you are using the right HTTP method",
    "The service is receiving too many requests from you",
    "The service failed to process your request",
    "The service was not able to process your request",
    "Bad gateway - the service failed to handle your request",
    "Service unavailable - try again later or consider setting this node to retry automatically (in the node settings)",
    "Gateway timed out - perhaps try again later?",
    "The service refused the connection - perhaps it is offline",
    "The connection to the server was closed unexpectedly, perhaps it is offline. You can retry",
    "The connection cannot be established, this usually occurs due to an incorrect host (domain) value",
    "The connection timed out, consider setting the 'Retry on Fail' option in the node settings",
    "The connection was aborted, perhaps the server is offline",
    "UNKNOWN ERROR - check the detailed error for more information",
    "Try spacing your requests out using the batching settings under 'Options'",
    "Workflow did not finish, possible out-of-memory issue",
    "The execution was cancelled",
    "Task request timed out after 60 seconds",
    "Node does not have any credentials set",
    'Credential with ID "7" does not exist for type "httpHeaderAuth".',
    "Referenced node is unexecuted",
    "Paired item data for item from node 'Webhook' is unavailable. Ensure 'Webhook' is providing the required output.",
    "JSON parameter needs to be valid JSON",
    "Cannot read properties of undefined (reading 'b64_json') [line 3]",
    "image is not defined [line 1]",
    "Code doesn't return items properly",
]

# What a provider or an author has written for people.
WORDS = [
    "Your request was rejected by the safety system",
    "No pictures with a sad facial expression",
    "This size is not available",
    "out of credits",
    "Model overloaded",
    "The gateway refused the result: Key lies in a bucket that STORAGE_BUCKETS does not allow.",
]


@pytest.mark.parametrize("text", WORDS)
def test_words_for_people_reach_them(text: str) -> None:
    assert explain(text) == explain({"message": text}) == (text, None)


@pytest.mark.parametrize("text", ADVICE)
@pytest.mark.parametrize("form", [lambda text: text, lambda text: {"message": text}, lambda text: {"error": text}])
def test_advice_to_the_author_never_reaches_the_user(text: str, form: Any) -> None:
    message, original = explain(form(text))
    assert message.endswith((".", "minutes."))
    assert text not in message
    assert original is not None
    assert text in original


@pytest.mark.parametrize(
    ("error", "message", "original"),
    [
        (
            BATCHING,
            "The image service is busy. Please try again in a few minutes.",
            " | ".join(BATCHING.values()),
        ),
        (
            CREDENTIALS,
            "The image service did not accept the request: Unauthorized",
            " | ".join(CREDENTIALS.values()),
        ),
        (
            CREDENTIALS | {"description": '{"error": {"message": "Your prompt was rejected"}}'},
            "The image service did not accept the request: Your prompt was rejected",
            "Bad request - please check your parameters | Your prompt was rejected",
        ),
        (
            json.dumps(CREDENTIALS),
            "The image service did not accept the request: Unauthorized",
            " | ".join(CREDENTIALS.values()),
        ),
        (
            'The gateway refused the result: 400 - {"error":"Key lies in no such bucket","code":"invalid_key"}',
            "The gateway refused the result: Key lies in no such bucket",
            None,
        ),
        (
            'The provider said: 400 - "{}"',
            "The image service did not accept the request.",
            'The provider said: 400 - "{}"',
        ),
        ('400 - "{}"', "The image service did not accept the request.", '400 - "{}"'),
        (json.dumps({"message": '400 - "{}"'}), "The image service did not accept the request.", '400 - "{}"'),
        ({"message": '401 - "{}"'}, "The image service cannot be used at the moment.", '401 - "{}"'),
        ('429 - "{}"', "The image service is busy. Please try again in a few minutes.", '429 - "{}"'),
        (
            '503 - "{}"',
            "The image service is not available at the moment. Please try again later.",
            '503 - "{}"',
        ),
        ({"message": "Model overloaded", "description": "Try again"}, "Model overloaded", None),
        ('400 - "{\\"error\\":{\\"message\\":\\"No such size\\"}}"', "No such size", None),
        ("cut in an emoji \ud83d", "cut in an emoji", None),
        ({"message": "\x00"}, "Unknown error", None),
        ({"a": "\ud83d"}, '[["a", "\\ud83d"]]', None),
    ],
)
def test_what_the_provider_said_is_what_the_user_reads(error: Any, message: str, original: str | None) -> None:
    assert explain(error) == (message, original)


def test_a_failed_execution_says_what_the_provider_said() -> None:
    found = outcome_of(n8n_recordings.load("executions")["failed"], frozenset())
    assert isinstance(found, Failed)
    assert found.message == "The image service is not available at the moment: no"
    assert found.original is not None


async def test_operators_find_n8ns_own_words_in_the_timeline(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    await gateway.callback({"requestId": request_id, "status": "failed", "error": BATCHING})
    body = await gateway.body(ada.id, request_id)
    assert body["errorMessage"] == "The image service is busy. Please try again in a few minutes."
    headers = {"Authorization": f"Bearer {gateway.token(ada.id, admin=True)}"}
    answer = await gateway.http.get(f"/api/admin/requests/{request_id}", headers=headers)
    assert answer.status_code == 200
    assert "batching settings" in answer.text


@pytest.mark.parametrize("secret", ["s3cret/of+thirty=two", 'a "quoted" \\ secret'])
def test_no_part_of_a_secret_is_kept(secret: str) -> None:
    answer = f"400 - {json.dumps(json.dumps({'headers': {'x': secret}}))}"
    words = (secret, "x" * (MAX_ERROR - 6) + secret, {"message": {"headers": [secret]}}, answer)
    for error in (*words, {**BATCHING, "description": secret}, {**BATCHING, "cause": answer}):
        execution = {"id": 1, "status": "error", "data": {"resultData": {"error": error}}}
        said = classify(500, "", json.dumps({"message": "y" * 280 + secret}).encode(), secrets=[secret])
        synchronous = classify(200, "", json.dumps({"error": error}).encode(), secrets=[secret])
        for text in map(str, (explain(error, [secret]), outcome_of(execution, set(), [secret]), synchronous, said)):
            assert secret[:6] not in text
