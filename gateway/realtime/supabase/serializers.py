"""Phoenix's two serializers: one message as a JSON array (vsn 2.0.0) or as a JSON object (vsn 1.0.0)."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import msgspec

from gateway.realtime.frames import text_frame

Ref = str | int | None
"""The client's own mark on a push, returned with its reply; `join_ref` is the mark of the push that joined."""


class BadFrame(Exception):
    """Not a message of this serializer: whoever sends it does not speak this protocol."""


class Push(NamedTuple):
    """What a client sends."""

    join_ref: Ref
    ref: Ref
    topic: str
    event: str
    payload: msgspec.Raw


class ChangeFrame(NamedTuple):
    """A `postgres_changes` message of one topic, taken apart where the binding's ids and the change belong."""

    before_ids: bytes
    before_data: bytes
    end: bytes

    def of(self, ids: bytes, data: bytes) -> bytes:
        """The WebSocket frame that tells the bindings `ids` (numbers, separated by commas) of the change."""
        return text_frame(b"".join((self.before_ids, ids, self.before_data, data, self.end)))


class Serializer(ABC):
    """One version of the protocol."""

    retries_refused_joins: bool
    """Whether its clients join again by themselves after an error."""

    @abstractmethod
    def decode(self, text: str) -> Push:
        """The push in a text frame.

        Raises:
            BadFrame: it is none.
        """

    @abstractmethod
    def encode(self, topic: str, event: str, payload: object, *, join_ref: Ref = None, ref: Ref = None) -> bytes:
        """A message of the server as a WebSocket frame. Clients stumble over a payload that is null."""

    @abstractmethod
    def change_frame(self, topic: str) -> ChangeFrame:
        """The frame of `topic`'s changes. They carry no `join_ref`, as Realtime's carry none."""


_encode = msgspec.json.Encoder().encode
_UNDECODABLE = (msgspec.DecodeError, UnicodeEncodeError, RecursionError)


class ArraySerializer(Serializer):
    """vsn 2.0.0: ``[join_ref, ref, topic, event, payload]``."""

    retries_refused_joins = True
    _decoder = msgspec.json.Decoder(tuple[Ref, Ref, str, str, msgspec.Raw])

    def decode(self, text: str) -> Push:
        try:
            return Push(*self._decoder.decode(text))
        except _UNDECODABLE as error:
            raise BadFrame(str(error)) from None

    def encode(self, topic: str, event: str, payload: object, *, join_ref: Ref = None, ref: Ref = None) -> bytes:
        return text_frame(_encode((join_ref, ref, topic, event, payload)))

    def change_frame(self, topic: str) -> ChangeFrame:
        before = b'[null,null,%b,"postgres_changes",{"ids":[' % _encode(topic)
        return ChangeFrame(before, b'],"data":', b"}]")


class _ObjectPush(msgspec.Struct):
    topic: str
    event: str
    payload: msgspec.Raw
    ref: Ref = None
    join_ref: Ref = None


class ObjectSerializer(Serializer):
    """vsn 1.0.0: ``{"topic", "event", "payload", "ref"}``, with the client's `join_ref` on the way in only."""

    retries_refused_joins = False  # of some the next join would leave the channel for ever
    _decoder = msgspec.json.Decoder(_ObjectPush)

    def decode(self, text: str) -> Push:
        try:
            push = self._decoder.decode(text)
        except _UNDECODABLE as error:
            raise BadFrame(str(error)) from None
        return Push(push.join_ref, push.ref, push.topic, push.event, push.payload)

    def encode(self, topic: str, event: str, payload: object, *, join_ref: Ref = None, ref: Ref = None) -> bytes:
        return text_frame(_encode({"topic": topic, "event": event, "payload": payload, "ref": ref}))

    def change_frame(self, topic: str) -> ChangeFrame:
        before = b'{"topic":%b,"event":"postgres_changes","ref":null,"payload":{"ids":[' % _encode(topic)
        return ChangeFrame(before, b'],"data":', b"}}")


SERIALIZERS: dict[str, Serializer] = {"1.0.0": ObjectSerializer(), "2.0.0": ArraySerializer()}
"""By the `vsn` of the upgrade's query."""

DEFAULT_VSN = "1.0.0"
"""What a client speaks that names no `vsn`."""
