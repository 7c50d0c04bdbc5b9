"""What is looked at before anybody has said who is asking."""

from gateway.realtime.supabase.endpoint import MAX_PARAMETERS, MAX_QUERY, _parameters


def test_little_of_a_query_is_looked_at() -> None:
    assert len(_parameters(b"&".join(b"a%d=1" % n for n in range(1000)))) == MAX_PARAMETERS
    assert _parameters(b"a=" + b"x" * MAX_QUERY + b"&vsn=2.0.0") == {"a": "x" * (MAX_QUERY - 2)}
