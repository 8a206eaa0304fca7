"""`import siftline` is quick and brings nothing heavy."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "torch",
    "transformers",
    "onnxruntime",
    "openvino",
    "onnx",
    "faiss",
    "numba",
    "lmdb",
    "matplotlib",
    "scipy",
    "starlette",
    "granian",
    "huggingface_hub",
)
LIMIT_SECONDS = 0.3
MEASURE = """
import sys, time
before = time.perf_counter()
import siftline
seconds = time.perf_counter() - before
print(seconds, *sys.modules)
"""


def measured() -> tuple[float, set[str]]:
    """Seconds of the import in a fresh interpreter, and the modules that are then there."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True, timeout=60
    )
    seconds, *modules = run.stdout.split()
    return float(seconds), {module.split(".")[0] for module in modules}


def test_import_is_quick() -> None:
    # the best of several: what the machine does beside is not the package's
    assert min(measured()[0] for _ in range(5)) < LIMIT_SECONDS


def test_import_brings_nothing_heavy() -> None:
    assert not measured()[1].intersection(HEAVY)
