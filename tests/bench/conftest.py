"""The table that all tests of bench ask."""

from bench_fakes import folder, records, short, table  # noqa: F401
