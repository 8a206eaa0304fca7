"""A prepared query to its candidates: the tree evaluated over a snapshot.

The result of every node is its documents, ascending. nearestNeighbor, weakAnd and wand choose their
best documents among those that the cheap operands beside them in an `and` leave (their filter).
weakAnd exposes exactly its best max(targetHits, hits + offset) documents by the BM25 sum of its
terms, and operands that are no terms make documents match with score 0. In `rank(x, y)` the
operators of y choose among the documents of x.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from siftline.errors import QueryError
from siftline.index.columns.column import AttributeColumn
from siftline.index.segment import Segment
from siftline.index.snapshot import Snapshot
from siftline.match import exhaustive
from siftline.match.bm25 import scored_terms
from siftline.match.candidates import Candidates
from siftline.match.deadline import MATCHING, Deadline
from siftline.match.filters import (
    member_documents,
    range_documents,
    regex_documents,
    weighted_products,
    word_documents,
)
from siftline.match.maxscore import search_sparse, search_text
from siftline.match.neighbors import nearest
from siftline.match.occurrences import occurrences
from siftline.match.prepare import Prepared
from siftline.match.query import (
    All,
    And,
    DotProduct,
    In,
    NearestNeighbor,
    Node,
    Not,
    Nothing,
    Or,
    Range,
    Rank,
    Regex,
    SearchTerm,
    Wand,
    WeakAnd,
    walk,
)
from siftline.match.sets import NONE, difference, intersection, mask_of, union
from siftline.match.top import Top, best
from siftline.tensor.tensor import Tensor

_CHOOSING = (WeakAnd, NearestNeighbor, Wand)
_SCORING = (NearestNeighbor, Wand, DotProduct)


def retrieve(snapshot: Snapshot, prepared: Prepared) -> Candidates:
    """Every document that the query exposes to ranking, ascending.

    columns: `rawScore(field)` and `itemRawScore(label)` float64 `(n,)` of the operators that
    matched, 0 elsewhere; several operators on a field add up. DeadlineError once the query's time
    is over, which is looked at for every operator and segment.
    """
    evaluation = _Evaluation(snapshot, prepared)
    documents = evaluation.documents(prepared.root, None)
    documents = documents[snapshot.live(documents)]
    return Candidates(documents, np.zeros(len(documents)), evaluation.columns(documents))


@dataclass(eq=False)
class _Evaluation:
    snapshot: Snapshot
    prepared: Prepared
    found: list[tuple[tuple[str, ...], Top]] = field(default_factory=list)
    scoring: bool = True

    @property
    def deadline(self) -> Deadline:
        """When the query must be answered."""
        return self.prepared.query.deadline

    def documents(self, node: Node, allowed: np.ndarray | None) -> np.ndarray:
        """The node's documents; allowed: bool `(limit,)`, the filter of choosing operators."""
        self.deadline.check(MATCHING)
        match node:
            case And():
                return self._and(node, allowed)
            case Or():
                found = [self.documents(child, allowed) for child in node.children]
                return union(found, self.snapshot.limit)
            case Not():
                return difference(self.snapshot.documents(), self._excluded(node))
            case Rank():
                return self._rank(node, allowed)
            case WeakAnd():
                return self._weak_and(node, allowed)
            case NearestNeighbor():
                top = nearest(self.snapshot, self.prepared, node, allowed)
                return self._scored(node, top)
            case Wand() | DotProduct():
                return self._scored(node, self._products(node, allowed))
            case All():
                return self.snapshot.documents()
            case Nothing():
                return NONE
        return self._filter(node)

    def columns(self, documents: np.ndarray) -> Mapping[str, np.ndarray]:
        """The raw scores of the documents by feature name."""
        columns: dict[str, np.ndarray] = {}
        for names, top in self.found:
            held = intersection(documents, top.documents)
            scores = top.scores[np.searchsorted(top.documents, held)]
            for name in names:
                column = columns.setdefault(name, np.zeros(len(documents)))
                column[np.searchsorted(documents, held)] += scores
        return columns

    # logic

    def _and(self, node: And, allowed: np.ndarray | None) -> np.ndarray:
        choosing = [child for child in node.children if _chooses(child)]
        negative = [child for child in node.children if isinstance(child, Not)]
        left: np.ndarray | None = None
        for child in node.children:
            if isinstance(child, Not) or _chooses(child):
                continue
            found = self.documents(child, allowed)
            left = found if left is None else intersection(left, found)
        if negative and left is None:
            left = self.snapshot.documents()
        for child in negative:
            left = difference(NONE if left is None else left, self._excluded(child))
        if choosing and left is not None:
            mask = mask_of(left, self.snapshot.limit)
            allowed = mask if allowed is None else mask & allowed
        for child in choosing:
            found = self.documents(child, allowed)
            left = found if left is None else intersection(left, found)
        return NONE if left is None else left

    def _excluded(self, node: Not) -> np.ndarray:
        scoring, self.scoring = self.scoring, False
        found = self.documents(node.child, None)
        self.scoring = scoring
        return found

    def _rank(self, node: Rank, allowed: np.ndarray | None) -> np.ndarray:
        matching = self.documents(node.matching, allowed)
        scored = [c for c in node.ranking if any(isinstance(n, _SCORING) for n in walk(c))]
        if scored and self.scoring:
            mask = mask_of(matching, self.snapshot.limit)
            for child in scored:
                self.documents(child, mask)
        return matching

    # choosing operators

    def _weak_and(self, node: WeakAnd, allowed: np.ndarray | None) -> np.ndarray:
        query, texts = self.prepared.query, self.prepared.layout.texts
        count = max(node.target_hits, query.hits + query.offset)
        words = [child for child in node.children if isinstance(child, SearchTerm)]
        others = [
            self.documents(c, allowed) for c in node.children if not isinstance(c, SearchTerm)
        ]
        for word in words:
            rest = [name for name in word.fields if name not in texts]
            others += [self._word_in(word, name) for name in rest]
        terms = scored_terms(self.snapshot, self.prepared, words)
        if query.exhaustive:
            found = exhaustive.text_scores(self.snapshot, terms, others, deadline=self.deadline)
            top = found.best(count, allowed)
        else:
            top = search_text(self.snapshot, terms, count, allowed, others, deadline=self.deadline)
        return np.sort(top.documents)

    def _scored(self, node: NearestNeighbor | Wand | DotProduct, top: Top) -> np.ndarray:
        ascending = top.ascending()
        if self.scoring:
            names = [f"rawScore({node.field})"]
            if node.label is not None:
                names.append(f"itemRawScore({node.label})")
            self.found.append((tuple(names), ascending))
        return ascending.documents

    def _products(self, node: Wand | DotProduct, allowed: np.ndarray | None) -> Top:
        """All documents that share a token, of a wand the best above its threshold."""
        vector = self.prepared.layout.vectors.get(node.field)
        if vector is not None:
            labels = tuple((label,) for label in node.weights)
            cells = np.array(list(node.weights.values()), vector.type.dtype)
            query = Tensor(vector.type, labels, cells)
            count = node.target_hits if isinstance(node, Wand) else self.snapshot.limit
            top = search_sparse(
                self.snapshot, node.field, query, count, allowed, deadline=self.deadline
            )
        else:
            top = self._weighted(node, allowed)
        if isinstance(node, DotProduct):
            return top
        keep = top.scores > node.score_threshold
        return Top(top.documents[keep], top.scores[keep])

    def _weighted(self, node: Wand | DotProduct, allowed: np.ndarray | None) -> Top:
        documents, scores = [NONE], [np.zeros(0)]
        for segment in self.deadline.over(self.snapshot.segments, MATCHING):
            found, products = weighted_products(segment.column(node.field), dict(node.weights))
            keep = segment.live[found]
            documents.append(segment.base + found[keep])
            scores.append(products[keep])
        held, products = np.concatenate(documents), np.concatenate(scores)
        if allowed is not None and isinstance(node, Wand):
            held, products = held[allowed[held]], products[allowed[held]]
        count = node.target_hits if isinstance(node, Wand) else len(held)
        return best(held, products, count)

    # filters

    def _filter(self, node: Node) -> np.ndarray:
        match node:
            case SearchTerm():
                found = [self._word_in(node, name) for name in node.fields]
                return union(found, self.snapshot.limit)
            case Range():
                return self._column(node.field, lambda column: range_documents(column, node))
            case In():
                cased = self._cased(node.field)
                return self._column(
                    node.field, lambda column: member_documents(column, node.values, cased=cased)
                )
            case Regex():
                return self._column(
                    node.field, lambda column: regex_documents(column, node.expression)
                )
        raise QueryError(f"the query is not prepared: {type(node).__name__} in its tree")

    def _word_in(self, term: SearchTerm, name: str) -> np.ndarray:
        tokens = term.fields[name]
        if name in self.prepared.layout.texts:
            return self._everywhere(
                lambda segment: occurrences(segment.text(name), tokens, term.near)[0]
            )
        cased = self._cased(name)
        return self._column(
            name,
            lambda column: word_documents(column, tokens[0], cased=cased, prefix=term.prefix),
        )

    def _cased(self, name: str) -> bool:
        declared = self.prepared.schema.fields[name]
        return declared.match == "cased" or "cased" in declared.match_settings

    def _column(self, name: str, find: Callable[[AttributeColumn], np.ndarray]) -> np.ndarray:
        return self._everywhere(lambda segment: find(segment.column(name)))

    def _everywhere(self, find: Callable[[Segment], np.ndarray]) -> np.ndarray:
        parts = [
            segment.base + find(segment).astype(np.int64)
            for segment in self.deadline.over(self.snapshot.segments, MATCHING)
        ]
        return np.concatenate(parts) if parts else NONE


def _chooses(node: Node) -> bool:
    """Whether what the node matches depends on a filter."""
    if isinstance(node, Not):
        return False
    return any(isinstance(part, _CHOOSING) for part in _positive(node))


def _positive(node: Node) -> list[Node]:
    if isinstance(node, (And, Or)):
        return [part for child in node.children for part in _positive(child)]
    if isinstance(node, Rank):
        return _positive(node.matching)
    return [] if isinstance(node, Not) else [node]
