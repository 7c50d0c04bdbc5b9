"""A response's head and body in one write: a system call and a packet less for each answer."""

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

MOST = 64 * 1024
"""Longest body in bytes that is copied behind its head."""


class JoinedResponse:
    """Stands between a cycle of uvicorn's, which writes a head and then a body, and its transport.

    A head that announces a length waits for the body, which applications send next. One of a stream goes at once: its
    first chunk may be long in coming.
    """

    __slots__ = ("_cycle", "_head", "_head_is_written", "_transport")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._transport = cycle.transport
        self._head = b""
        self._head_is_written = False
        cycle.transport = cast("asyncio.Transport", self)

    def write(self, data: bytes) -> None:
        """Write, or wait for the body."""
        if self._head:
            head, self._head = self._head, b""
            if len(data) <= MOST:
                data = head + data
            else:
                self._transport.write(head)
        elif not self._head_is_written and self._cycle.response_started:  # before it there may be a 100 Continue
            self._head_is_written = True
            if not self._cycle.chunked_encoding and self._cycle.scope["method"] != "HEAD":
                self._head = data
                return
        self._transport.write(data)

    def close(self) -> None:
        """Close the connection once all is written, a head without its body too."""
        head, self._head = self._head, b""
        if head:
            self._transport.write(head)
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is closed, or will be once all is written."""
        return self._transport.is_closing()
