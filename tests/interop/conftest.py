"""These tests need the packages that the documents describe; elsewhere they are not collected: `tox run -e interop`."""

from importlib.util import find_spec

PACKAGES = {"test_jaf.py": "jaf", "test_nadoo.py": "nadoo_flow", "test_ractogateway.py": "ractogateway"}
"""What each module of tests needs."""

collect_ignore = [module for module, package in PACKAGES.items() if find_spec(package) is None]
