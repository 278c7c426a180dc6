"""Everything that can go wrong with runs that are left alone, done many times over: ``python -m tests.faults``."""
