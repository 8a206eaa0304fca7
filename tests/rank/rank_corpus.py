"""Schemas written as text, documents fed into a real index, queries ranked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from siftline.encode.script import encode_documents
from siftline.errors import ModelError
from siftline.index.index import Index
from siftline.index.snapshot import Snapshot
from siftline.match.candidates import Candidates
from siftline.match.prepare import Prepared, prepare
from siftline.match.query import All, Node, Query
from siftline.rank.features.source import HitFeatures, Run
from siftline.rank.models import OnnxModels
from siftline.rank.phases import rank
from siftline.rank.plan import Plan, listed_feature, make_plan
from siftline.rank.ranked import Ranked
from siftline.schema.definition import OnnxModel, Schema
from siftline.schema.package import Settings
from siftline.schema.sd import parse_schema


def no_models() -> OnnxModels:
    """For schemas without models."""

    def refuse(model: OnnxModel) -> Path:
        raise ModelError(f"no file for {model.name}")

    return OnnxModels(refuse, lambda path, model: refuse(model))  # type: ignore[arg-type,return-value]


class Corpus:
    """An index of one schema, asked directly below the engine."""

    def __init__(
        self,
        schema: Schema,
        index: Index,
        settings: Settings,
        models: OnnxModels | None = None,
    ) -> None:
        self.schema = schema
        self.index = index
        self.settings = settings
        self.models = models or no_models()

    @property
    def snapshot(self) -> Snapshot:
        return self.index.snapshot()

    def plan(self, profile: str = "p") -> Plan:
        return make_plan(self.schema, self.schema.profile(profile), self.models)

    def prepared(self, root: Node, profile: str = "p", **query: Any) -> Prepared:
        asked = Query(root, profile=profile, **query)
        return prepare(asked, self.schema, self.settings, self.schema.profile(profile))

    def everything(self, columns: Mapping[str, np.ndarray] | None = None) -> Candidates:
        documents = self.snapshot.documents()
        return Candidates(documents, np.zeros(len(documents)), columns or {})

    def rank(
        self,
        root: Node | None = None,
        profile: str = "p",
        *,
        candidates: Candidates | None = None,
        features: Sequence[str] = (),
        **query: Any,
    ) -> Ranked:
        """Every document ranked, whether it matches or not, unless `candidates` are given."""
        plan = self.plan(profile)
        return rank(
            plan,
            self.snapshot,
            self.prepared(root or All(), profile, **query),
            self.everything() if candidates is None else candidates,
            features=[listed_feature(plan, text) for text in features],
        )

    def values(self, feature: str, root: Node | None = None, **query: Any) -> list[Any]:
        """A feature's value for every document, in document order."""
        plan = self.plan(query.pop("profile", "p"))
        prepared = self.prepared(root or All(), plan.profile.name, **query)
        run = Run(plan, self.snapshot, prepared, self.snapshot.documents(), started=1e9)
        source = run.everything()
        value = listed_feature(plan, feature).program(source)
        if isinstance(value, np.ndarray):
            return list(value.tolist())
        rows = range(source.count)
        tensors = [value.tensor(i) if hasattr(value, "tensor") else value for i in rows]
        return [float(t) if t is not None and t.is_scalar else t for t in tensors]

    def source(self, root: Node | None = None, **query: Any) -> HitFeatures:
        plan = self.plan(query.pop("profile", "p"))
        prepared = self.prepared(root or All(), plan.profile.name, **query)
        return Run(plan, self.snapshot, prepared, self.snapshot.documents()).everything()


@contextmanager
def corpus(
    schema: str,
    documents: Sequence[Mapping[str, Any]],
    *,
    settings: Settings | None = None,
    models: OnnxModels | None = None,
    batches: int = 1,
) -> Iterator[Corpus]:
    """The documents in an index that is gone afterwards; their ids are id:t:SCHEMA::0, 1, …"""
    parsed = parse_schema(schema)
    settings = settings or Settings()
    with TemporaryDirectory() as folder:
        with Index.open(Path(folder), parsed, settings) as index:
            named = [(f"id:t:{parsed.name}::{i}", doc) for i, doc in enumerate(documents)]
            size = max(1, -(-len(named) // batches))
            for start in range(0, len(named), size):
                index.write(encode_documents(parsed, named[start : start + size], {}))
                index.commit()
            yield Corpus(parsed, index, settings, models)
