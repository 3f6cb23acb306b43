"""Settings of the runs in a browser: the tests' own, a policy on every answer, pages that trip the traps."""

from tests.settings import *

MIDDLEWARE = ["tests.browser.tripping.strict_policy", *MIDDLEWARE]
ROOT_URLCONF = "tests.browser.tripping"
