"""Load on an HTTP server: clients that ask, and how long the answers took. Knows no engine."""

from siftline.load.options import LoadOptions, Tls
from siftline.load.result import LoadResult
from siftline.load.run import run_load
from siftline.load.sweep import Sweep, run_sweep

__all__ = ["LoadOptions", "LoadResult", "Sweep", "Tls", "run_load", "run_sweep"]
