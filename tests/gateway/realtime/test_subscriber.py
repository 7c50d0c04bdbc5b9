"""A subscriber's memory: versions only rise, the newest wins, and nothing grows without a bound."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.realtime import subscriber as subscriber_module
from gateway.realtime.subscriber import Inbox
from gateway.realtime.update import decode_update, encode_update
from gateway.realtime.websocket.messages import update_frame
from tests.gateway.realtime.doubles import update


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 6), st.booleans()), max_size=60))
def test_versions_only_rise_and_the_newest_is_seen(offers: list[tuple[str, int, bool]]) -> None:
    subscriber = Inbox("ada", "poll")
    subscriber.mine = True
    sent: dict[str, list[int]] = {}
    for request_id, version, take in [*offers, *(("", 0, True) for _ in range(10))]:
        if request_id:
            subscriber.offer(update(request_id, version))
        if take and (taken := subscriber.take()) is not None:
            sent.setdefault(taken.request_id, []).append(taken.version)
    for request_id, versions in sent.items():
        assert versions == sorted(set(versions))
        assert versions[-1] == max(version for offered, version, _ in offers if offered == request_id)
    assert set(sent) == {request_id for request_id, _, _ in offers}


def test_a_slow_reader_holds_one_update_a_request() -> None:
    subscriber = Inbox("ada", "poll")
    subscriber.mine = True
    for version in range(1, 1001):
        subscriber.offer(update("a", version))
        subscriber.offer(update("b", version))
    assert [(u.request_id, u.version) for u in iter(subscriber.take, None)] == [("a", 1000), ("b", 1000)]


def test_what_is_remembered_is_bounded() -> None:
    subscriber = Inbox("ada", "poll")
    for number in range(subscriber_module.MAX_SEEN + 100):
        subscriber.mark_seen(str(number), 1)
    assert len(subscriber._seen) == subscriber_module.MAX_SEEN
    assert "99" not in subscriber._seen
    assert "100" in subscriber._seen


def test_what_was_unsubscribed_meanwhile_is_not_sent() -> None:
    subscriber = Inbox("ada", "poll")
    subscriber.ids = {"a"}
    subscriber.offer(update("a", 1))
    subscriber.ids.clear()
    assert subscriber.take() is None


def test_nothing_of_another_user_is_wanted() -> None:
    subscriber = Inbox("ada", "poll")
    subscriber.mine = True
    subscriber.ids = {"a"}
    assert subscriber.wants(update("a", 1))
    assert not subscriber.wants(update("a", 1, user_id="eve"))


def test_an_update_survives_the_bus_unchanged() -> None:
    sent = update("a", 7)
    received = decode_update(encode_update(sent))
    assert received == sent
    assert update_frame(received) == b'\x81\x23{"type":"update","request":{"n":7}}'
