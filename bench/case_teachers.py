"""Teachers of a training by runtime, and from their cache.

what: texts, or pairs of a cross-encoder, scored a second; texts of 100 words, each seen once
corpus: random words of the vocabulary; the time of a transformer does not depend on which
notes: ways alternate, medians of three rounds; int8 models run text by text unless dequantised
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from bench.measurement import Measurement
from siftline.encode.tokenizer import Tokenizer
from siftline.model.fetch import fetch
from siftline.train.recipe import TeacherSpec
from siftline.train.score_cache import ScoreCache
from siftline.train.teacher_models import open_teacher

SPECS = (
    TeacherSpec("dense", "bge-small-en-v1.5"),
    TeacherSpec("sparse", "splade-tiny"),
    TeacherSpec("cross", "ms-marco-MiniLM-L-12-v2"),
)
WAYS: dict[str, dict[str, Any]] = {
    "ONNX Runtime, as it comes": {"runtime": "onnx"},
    "ONNX Runtime, float32": {"runtime": "onnx", "precision": "fp32"},
    "OpenVINO": {"runtime": "openvino"},
}
TEXTS, WORDS, ROUNDS = 32, 100, 3


def run() -> Iterator[Measurement]:
    """Texts per second of each teacher and way, then with every text in the cache."""
    chance = random.Random(1)
    texts = _texts(chance, TEXTS * (1 + ROUNDS))
    parts = [texts[start : start + TEXTS] for start in range(0, len(texts), TEXTS)]
    teachers = {
        (spec, way): open_teacher(spec, fetch, **options)
        for spec, (way, options) in product(SPECS, WAYS.items())
    }
    seconds: dict[Any, list[float]] = {key: [] for key in teachers}
    for number, part in enumerate(parts):
        for key, teacher in teachers.items():
            before = time.perf_counter()
            teacher.scores(["what is it"], [part])
            if number:  # the first loads the model
                seconds[key].append(time.perf_counter() - before)
    for (spec, way), times in seconds.items():
        yield Measurement(f"{spec.type}: {way}", TEXTS / median(times), "texts/s")
    with tempfile.TemporaryDirectory() as folder:
        for spec in SPECS:
            teacher = open_teacher(spec, fetch, cache=ScoreCache.open(Path(folder)))
            times = []
            for _ in range(1 + ROUNDS):
                before = time.perf_counter()
                teacher.scores(["what is it"], [parts[0]])
                times.append(time.perf_counter() - before)
            yield Measurement(f"{spec.type}: cached", TEXTS / median(times[1:]), "texts/s")


def _texts(chance: random.Random, count: int) -> list[str]:
    vocabulary = Tokenizer.open(fetch("splade-tiny")).vocabulary
    words = [word for word in vocabulary if word.isalpha() and len(word) > 3]
    return [" ".join(chance.choices(words, k=WORDS)) for _ in range(count)]
