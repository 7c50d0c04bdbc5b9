"""What this process knows of requests that it has read or changed: whose they are, what was offered, and to whom."""

from collections import OrderedDict
from collections.abc import Collection

from gateway.realtime.subscriber import Subscriber

MAX_KNOWN = 100_000
"""Most requests that are remembered; past it the one known first is forgotten: it is read again, and offered again, to
those who then know that they have seen it."""


class KnownRequest:
    """A request that the database has.

    Attributes:
        user_id: its owner.
        offered: the newest version that was offered to whoever has subscribed; 0 for none.
        subscribers: the owner's, as far as it is not empty: whoever comes after the last has left is in another set.
    """

    __slots__ = ("offered", "subscribers", "user_id")

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.offered = 0
        self.subscribers: Collection[Subscriber] = ()


class KnownRequests:
    """The known requests. One look is all that the way of a delivery needs.

    Attributes:
        get: the known request of an id, or None.
    """

    def __init__(self) -> None:
        # Ordered: of a plain dictionary that always loses its first entry, finding the first takes ever longer.
        self._requests: OrderedDict[str, KnownRequest] = OrderedDict()
        self.get = self._requests.get

    def add(self, request_id: str, user_id: str) -> KnownRequest:
        """The request, which the database has, and which is that user's."""
        known = self.get(request_id)
        if known is None or known.user_id != user_id:
            self._requests.pop(request_id, None)
            known = self._requests[request_id] = KnownRequest(user_id)
            if len(self._requests) > MAX_KNOWN:
                self._requests.popitem(last=False)
        return known

    def offered(self, request_id: str) -> int:
        """The newest version that was offered, which a reconcile need not offer again; 0 if none is remembered."""
        known = self.get(request_id)
        return 0 if known is None else known.offered

    def set_back(self, request_id: str) -> None:
        """The database holds less than was offered: no version of the request counts any more."""
        if (known := self.get(request_id)) is not None:
            known.offered = 0

    def set_all_back(self) -> None:
        """Nothing counts as offered any more."""
        for known in self._requests.values():
            known.offered = 0
