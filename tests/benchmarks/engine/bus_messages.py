"""What the gateway's processes tell each other: the only thing that the benchmark knows of the gateway's inside.

When the bus speaks another way, it changes here and nowhere else.
"""

import time
from datetime import UTC, datetime

import msgspec

from gateway.realtime.bus import user_topic
from gateway.realtime.redis_bus import prefix_of
from gateway.realtime.update import Columns, Update, encode_update
from storage.lifecycle import Status
from tests.benchmarks.engine import messages


def publish_update(identity: str) -> bytes:
    """The command that tells all processes of a request's newest Body, with the load client's tokens.

    Args:
        identity: the database's.
    """
    moment = datetime(2026, 11, 25, 22, 0, 1, 234567, tzinfo=UTC)
    columns = Columns(
        organization_id=messages.USER,
        n8n_execution_id="1234",
        request_metadata={},
        retry_of=None,
        created_at=moment,
        updated_at=moment,
        completed_at=None,
    )
    update = Update(
        request_id=messages.REQUEST,
        user_id=messages.USER,
        version=messages.VERSION_NUMBER,
        status=Status.PROCESSING,
        body=msgspec.Raw(messages.payload()),
        at=time.time(),
        columns=msgspec.Raw(msgspec.json.encode(columns)),
    )
    message = messages.with_tokens(encode_update(update))
    return messages.redis_publish(prefix_of(identity) + user_topic(messages.USER), message)
