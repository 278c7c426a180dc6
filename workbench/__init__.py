"""The distillation workbench: pick teachers, a student and a temperature, press Launch, compare every run."""

import os
from importlib.metadata import PackageNotFoundError, version

# Read when torch loads its OpenMP. A thread that spins while it waits makes training on a machine with other work
# seven times slower and more; one that sleeps costs nothing measurable where the machine is free.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    __version__ = version("distillation-workbench")
except PackageNotFoundError:
    __version__ = "0 (source)"
