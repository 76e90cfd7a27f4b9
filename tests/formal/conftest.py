"""A long proof that is not decided in its time is skipped, aloud: it says nothing. A quick one fails then."""

from collections.abc import Generator

import pytest
from prover import Undecided


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    try:
        return (yield)
    except Undecided as error:
        if item.get_closest_marker("slow_proof"):
            pytest.skip(str(error))
        raise
