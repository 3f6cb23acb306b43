"""The page about search does what it says, where the sub-app is installed."""

import pytest

from tests.acceptance.test_docs import WITH_SEARCH, run_page

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_code_of_the_page_runs() -> None:
    run_page(WITH_SEARCH)
