"""The app beside the best that PostgreSQL allows, in one run; `python -m tests.benchmarks --help`."""
