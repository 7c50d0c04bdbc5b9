"""Both versions of the protocol."""

import pytest


@pytest.fixture(params=["1.0.0", "2.0.0"])
def vsn(request: pytest.FixtureRequest) -> str:
    return str(request.param)
