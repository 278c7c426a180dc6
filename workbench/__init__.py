"""The distillation workbench: pick teachers, a student and a temperature, press Launch, compare every run."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("distillation-workbench")
except PackageNotFoundError:
    __version__ = "0 (source)"
