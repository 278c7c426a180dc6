"""The window: Qt only here, a folder a screen."""

import sys

_CUDA = "cuda.bindings"
"""Where torch brought them along, pyqtgraph loads them for a widget that is not used here: a tenth of all that is imported."""

if _CUDA not in sys.modules:
    sys.modules[_CUDA] = None  # type: ignore[assignment]
    try:
        import pyqtgraph  # noqa: F401
    finally:
        del sys.modules[_CUDA]
