"""Rank profiles side by side on the same queries: quality, significance, latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from siftline.errors import UsageError
from siftline.evaluate.judgments import Collection
from siftline.evaluate.latency import Latency, latency
from siftline.evaluate.measures import MEASURES, Quality, measure
from siftline.evaluate.runs import Run
from siftline.evaluate.significance import against_first

#: a difference is marked where its corrected p value is below
ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class ProfileFigures:
    """One rank profile on a collection.

    p_values: measure → Holm-corrected p value against the first profile; empty for the first.
    """

    profile: str
    quality: Quality
    latency: Latency
    p_values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Rank profiles on a split of a collection, in the order they were given."""

    data: str
    split: str
    profiles: tuple[ProfileFigures, ...]


def compare(
    collection: Collection,
    runs: Mapping[str, Run],
    seconds: Mapping[str, Sequence[float]],
    *,
    seed: int = 0,
) -> Comparison:
    """The figures of each profile's run and of the seconds each of its queries took.

    UsageError where a profile has no times or a run is no ranking.
    """
    if not runs:
        raise UsageError("there is no rank profile to compare")
    missing = [profile for profile in runs if profile not in seconds]
    if missing:
        raise UsageError(f"profile '{missing[0]}' has a run and no times")
    qualities = {profile: measure(collection.judgments, run) for profile, run in runs.items()}
    p_values: dict[str, dict[str, float]] = {profile: {} for profile in runs}
    for name in MEASURES:
        values = {profile: quality.values[name] for profile, quality in qualities.items()}
        for profile, p_value in against_first(values, seed=seed).items():
            p_values[profile][name] = p_value
    return Comparison(
        collection.name,
        collection.split,
        tuple(
            ProfileFigures(profile, quality, latency(seconds[profile]), p_values[profile])
            for profile, quality in qualities.items()
        ),
    )


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as `siftline eval --json` prints it."""
    return {
        "data": comparison.data,
        "split": comparison.split,
        "profiles": [
            {
                "profile": figures.profile,
                **{name: round(figures.quality.mean(name), 6) for name in MEASURES},
                "queries": len(figures.quality.queries),
                "latency_ms": {
                    "mean": round(figures.latency.mean, 3),
                    "p99": round(figures.latency.p99, 3),
                },
            }
            for figures in comparison.profiles
        ],
    }


HEADINGS = ("profile", "nDCG@10", "MRR@10", "Recall@100", "mean ms", "p50 ms", "p99 ms")


def rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """A row of text for each profile, under `HEADINGS`.

    A figure that differs from the first profile's is marked `+` or `-` where the corrected p value
    is below ALPHA.
    """
    first = comparison.profiles[0]
    return [
        (
            figures.profile,
            *(
                f"{figures.quality.mean(name):.4f}{_mark(figures, first, name)}"
                for name in MEASURES
            ),
            f"{figures.latency.mean:.2f}",
            f"{figures.latency.p50:.2f}",
            f"{figures.latency.p99:.2f}",
        )
        for figures in comparison.profiles
    ]


def notes(comparison: Comparison) -> list[str]:
    """What a reader of the table has to know: its marks, and queries without an answer."""
    first = comparison.profiles[0]
    count = len(first.quality.queries)
    found = [f"{comparison.data}, split {comparison.split}: {count} judged queries."]
    if len(comparison.profiles) > 1:
        found.append(
            f"+ and -: better or worse than {first.profile} "
            f"(paired randomisation test, Holm-corrected p < {ALPHA})."
        )
    for figures in comparison.profiles:
        if figures.quality.unanswered:
            found.append(
                f"{figures.profile} answered nothing to {figures.quality.unanswered} queries, "
                "which count as 0."
            )
    return found


def _mark(figures: ProfileFigures, first: ProfileFigures, name: str) -> str:
    if figures.p_values.get(name, 1.0) >= ALPHA:
        return ""
    return "+" if figures.quality.mean(name) > first.quality.mean(name) else "-"
