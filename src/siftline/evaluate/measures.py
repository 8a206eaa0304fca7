"""Quality of a run against judgments, by ir_measures: nDCG@10, MRR@10, Recall@100, Recall@1000.

Every judged query counts. One that the run does not answer is zero, and one that is not judged
is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from siftline.errors import UsageError
from siftline.evaluate.judgments import Judgments
from siftline.evaluate.runs import Run, check_run

#: our name → the name that ir_measures gives the measure; measured where no others are asked for
MEASURES = {"ndcg@10": "nDCG@10", "mrr@10": "RR@10", "recall@100": "R@100"}
KNOWN = {**MEASURES, "recall@1000": "R@1000"}


@dataclass(frozen=True, eq=False)
class Quality:
    """Figures of one run.

    queries: every judged query, in the judgments' order. values: measure → float64
    `(len(queries),)`. unanswered: how many of the queries the run has no document for.
    """

    queries: tuple[str, ...]
    values: Mapping[str, np.ndarray]
    unanswered: int

    def mean(self, measure: str) -> float:
        """The mean of a measure over all judged queries."""
        if measure not in self.values:
            raise UsageError(f"unknown measure '{measure}' (known: {', '.join(self.values)})")
        return float(self.values[measure].mean())

    @property
    def means(self) -> dict[str, float]:
        """Each measure's mean."""
        return {measure: self.mean(measure) for measure in self.values}


def measure(judgments: Judgments, run: Run, measures: Sequence[str] = tuple(MEASURES)) -> Quality:
    """The run's figures; UsageError for an unknown measure or a run that is no ranking.

    The order of the run counts, not its scores: equal scores keep the order the run gives them.
    """
    import ir_measures

    unknown = [name for name in measures if name not in KNOWN]
    if unknown:
        raise UsageError(f"unknown measure '{unknown[0]}' (known: {', '.join(KNOWN)})")
    if not judgments:
        raise UsageError("there is no judged query to measure")
    check_run(run)
    ranks = {query: _by_rank(run[query]) for query in judgments if run.get(query)}
    names = {ir_measures.parse_measure(KNOWN[name]): name for name in measures}
    queries = tuple(judgments)
    row = {query: i for i, query in enumerate(queries)}
    values = {name: np.zeros(len(queries)) for name in measures}
    qrels = {query: dict(documents) for query, documents in judgments.items()}
    for metric in ir_measures.iter_calc(list(names), qrels, ranks) if ranks else ():
        values[names[metric.measure]][row[metric.query_id]] = metric.value
    return Quality(queries, values, len(queries) - len(ranks))


def _by_rank(ranking: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Scores that fall by one from each document to the next, so that no tie is left to break."""
    return {document: float(len(ranking) - i) for i, (document, _) in enumerate(ranking)}
