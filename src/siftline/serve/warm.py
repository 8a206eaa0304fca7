"""Loads what an application would otherwise load during its first requests."""

from __future__ import annotations

from siftline.application import Application
from siftline.errors import SiftlineError


def warm(application: Application) -> None:
    """Open every model, make every ranking ready to run and ask each schema one query.

    What a broken model or ranking raises names it: better now than during the first query.
    """
    for embedder in application.embedders.values():
        _ = embedder
    for name, engine in application.engines.items():
        for profile in engine.schema.rank_profiles:
            engine.plan(profile)
        try:
            application.query(yql=f"select * from {name} where true", hits=1)
        except SiftlineError:
            continue  # a default ranking that needs an input: its plan is made all the same
