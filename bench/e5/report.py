"""docs/e5.md and its plots, from the results and the published figures."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.e5.material import Material
from bench.e5.packages import VARIANTS
from bench.e5.settings import Results
from bench.e5.steps import CLIENTS, EXPLORED, GRAPHS, SERVED, THREADS
from siftline.load.plot import Point, plot_latency
from siftline.model.catalogue import load_catalogue

PUBLISHED = json.loads((Path(__file__).parent / "published.json").read_text("utf-8"))
SOURCE = "Accelerating Transformer-based Embedding Retrieval with Vespa"
SCENARIOS = {
    "embedding": "Embedding alone",
    "exact": "Exact nearest neighbours",
    f"exact-{THREADS}-threads": f"Exact, {THREADS} threads for each search",
    "hnsw": f"HNSW graph ({SERVED.links}, {SERVED.explore_at_insert})",
}
SAID = {
    "embedding": "`rank(doc_id contains …, nearestNeighbor)`: the query's text is embedded and one "
    "distance computed.",
    "exact": "`{targetHits:10}nearestNeighbor` without a graph: every embedding is compared.",
    f"exact-{THREADS}-threads": f"The same with `<persearch>{THREADS}</persearch>`.",
    "hnsw": "`{targetHits:10, hnsw.exploreAdditionalHits:300}nearestNeighbor` on a field with "
    f"`max-links-per-node: {SERVED.links}` and `neighbors-to-explore-at-insert: "
    f"{SERVED.explore_at_insert}`.",
}


def write_report(results: Results, material: Material, out: Path) -> list[Path]:
    """Write the report and its plots into a folder; their paths."""
    out.mkdir(parents=True, exist_ok=True)
    report, models, latency = out / "e5.md", out / "e5-models.png", out / "e5-latency.png"
    plot_models(results, models)
    series = {
        title: [_point(results.steps[f"{name} {count}"]) for count in results.settings["clients"]]
        for name, title in SCENARIOS.items()
    }
    plot_latency(series, latency, "multilingual-e5-small as int8, through the server")
    report.write_text(text(results, material), encoding="utf-8")
    return [report, models, latency]


def text(results: Results, material: Material) -> str:
    """The report as Markdown."""
    parts = [_introduction(results, material), _models(results), _graphs(results)]
    parts += [_load(results, name) for name in SCENARIOS]
    return "\n\n".join(parts) + "\n"


def _introduction(results: Results, material: Material) -> str:
    settings = results.settings
    cut = "" if settings["limit"] is None else f", cut to {settings['limit']:,} documents"
    entry = load_catalogue().get(settings["model"])
    note = f" ({entry.note})" if entry and entry.note else ""
    client = results.steps["float32 feed"]["client"]
    name, queries = material.collection.name, len(material.collection.queries)
    call = f"siftline fbench -P -q queries.txt -s {settings['seconds']:g} -n CLIENTS -c 0"
    points = [
        f"Collection: {name}, split {settings['split']}{cut}; {material.documents:,} documents, "
        f"{queries:,} queries.",
        f"Model: {settings['model']}{note}.",
        f"Fed by `{client}`, asked by `{call}` on the same machine, each time after a warm-up.",
        "No query encoding is kept from one query to the next (`query-encodings = 0`).",
        f"Measured on: {_machines(results)}.",
    ]
    first = _paragraph(
        f'''Made by `make report-e5`: the experiment of "{SOURCE}" on `examples/multilingual`,
        through `siftline serve`. One model as float32 and as int8 on ONNX Runtime and as bf16 on
        OpenVINO; then the int8 model with more and more clients.'''
    )
    last = _paragraph(
        """The published figures are of another machine (M1 Pro, 8 cores), the full-precision model
        and the whole collection of 131,924 documents and 482 queries. Ratios between rows compare;
        single figures do not, and nDCG on a part of a collection is higher than on all of it."""
    )
    bullets = "\n".join(_paragraph(f"- {point}", "  ") for point in points)
    return "\n\n".join(["# The E5 experiment", first, bullets, last])


def _paragraph(text: str, indent: str = "") -> str:
    """Words in lines of at most 100 characters; code is not broken at hyphens."""
    return textwrap.fill(
        " ".join(text.split()),
        100,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _machines(results: Results) -> str:
    """Processor and software once for each machine, with the commits that were measured there."""
    commits: dict[str, list[str]] = {}
    for facts in results.machines.values():
        rest = {key: value for key, value in facts.items() if key != "commit"}
        rest["cores"] += " cores"
        rest["python"] = f"Python {rest['python']}"
        known = commits.setdefault(", ".join(rest.values()), [])
        if facts["commit"] not in known:
            known.append(facts["commit"])
    return "; ".join(f"{name}, commit {', '.join(of)}" for name, of in commits.items())


def _models(results: Results) -> str:
    rows = []
    for variant in VARIANTS:
        name, steps = variant.name, results.steps
        if f"{name} load" not in steps:
            rows.append([f"{name}: not on this machine", *[""] * 8])
            continue
        figures = _figures(results, name)
        known = PUBLISHED["models"].get(name, {})
        digits = {"mib": 0, "ndcg@10": 4, "documents": 1, "queries": 1}
        ours = [f"{figures[key]:.{places}f}" for key, places in digits.items()]
        rows.append([name, *ours, *(_shown(known.get(key)) for key in digits)])
    heads = ["model", "MiB", "nDCG@10", "documents/s", "queries/s"]
    table = _table([*heads, *(f"published {head}" for head in heads[1:])], rows)
    words = _paragraph(
        f"""Queries a second are those of embedding alone with {CLIENTS} clients. The bf16 model is
        the float32 file, run in bf16. {_gain(results)}"""
    )
    plot = "![Documents and queries a second of each model](e5-models.png)"
    return "\n\n".join(["## Models", words, table, plot])


def _figures(results: Results, name: str) -> dict[str, float]:
    steps = results.steps
    return {
        "mib": steps[f"{name} size"] / 2**20,
        "ndcg@10": steps[f"{name} quality"]["ndcg@10"],
        "documents": steps[f"{name} feed"]["documents_per_second"],
        "queries": steps[f"{name} load"]["queries_per_second"],
    }


def _gain(results: Results) -> str:
    """What int8 changes against float32, ours and published."""
    pairs = [
        (_figures(results, "float32"), _figures(results, "int8")),
        (PUBLISHED["models"]["float32"], PUBLISHED["models"]["int8"]),
    ]
    documents, queries = (
        [int8[key] / float32[key] for float32, int8 in pairs] for key in ("documents", "queries")
    )
    change = [int8["ndcg@10"] - float32["ndcg@10"] for float32, int8 in pairs]
    return (
        f"int8 feeds {documents[0]:.2f} times as many documents as float32 (published "
        f"{documents[1]:.2f}) and answers {queries[0]:.2f} times as many queries (published "
        f"{queries[1]:.2f}); its nDCG@10 differs by {change[0]:+.4f} (published {change[1]:+.3f})."
    )


def _graphs(results: Results) -> str:
    rows, steps = [], results.steps
    for graph in GRAPHS:
        key = f"{graph.links}, {graph.explore_at_insert}"
        for explore in EXPLORED:
            figure = steps[f"graph {key} explore {explore}"]["ndcg@10"]
            known = PUBLISHED["graph"][key][str(explore)]
            rows.append([*key.split(", "), str(explore), f"{figure:.4f}", f"{known:.4f}"])
    heads = ["max-links-per-node", "neighbors-to-explore-at-insert", "exploreAdditionalHits"]
    table = _table([*heads, "nDCG@10", "published nDCG@10"], rows)
    served = f"graph {SERVED.links}, {SERVED.explore_at_insert}"
    fed, exact = steps[f"{served} feed"], steps["int8 feed"]
    there = all(steps[f"graph {g.links}, {g.explore_at_insert} there"] for g in GRAPHS)
    note = "" if there else "So few documents get no graph: here they were scanned."
    published = PUBLISHED["hnsw_documents"], PUBLISHED["models"]["int8"]["documents"]
    words = _paragraph(
        f"""The int8 model, `targetHits: 10`; the exact scan gives
        {steps["int8 quality"]["ndcg@10"]:.4f}. With the graph ({SERVED.links},
        {SERVED.explore_at_insert}), documents were fed at {_with_writing(fed):.1f} a second,
        without it at {_with_writing(exact):.1f}, the writing of the index counted in both
        (published {published[0]} and {published[1]}). {note}"""
    )
    return "\n\n".join(["## The graph's quality", words, table])


def _with_writing(feed: dict[str, Any]) -> float:
    """Documents a second until the server has ended, which writes what is in memory."""
    return float(feed["documents"] / (feed["seconds"] + feed["seconds_to_write"]))


def _load(results: Results, name: str) -> str:
    rows = []
    for count in results.settings["clients"]:
        point = _point(results.steps[f"{name} {count}"])
        known = PUBLISHED["load"][name].get(str(count), [None] * 3)
        ours = [f"{point.average:.2f}", f"{point.p95:.2f}", f"{point.rate:.2f}"]
        rows.append([str(count), *ours, *map(_shown, known)])
    heads = ["average latency", "95p latency", "queries/s"]
    table = _table(["clients", *heads, *(f"published {head}" for head in heads)], rows)
    plot = ["![Latency against throughput](e5-latency.png)"] if name == "hnsw" else []
    words = _paragraph(f"{SAID[name]} Milliseconds.")
    return "\n\n".join([f"## {SCENARIOS[name]}", words, table, *plot])


def plot_models(results: Results, path: Path) -> None:
    """Bars of documents and queries a second of each model as multiples of float32's."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    names = [v.name for v in VARIANTS if f"{v.name} load" in results.steps]
    ours = {name: _figures(results, name) for name in names}
    titles = {"documents": "documents fed a second", "queries": f"queries, {CLIENTS} clients"}
    for axes, (key, title) in zip(figure.subplots(1, 2, sharey=True), titles.items(), strict=True):
        _bars(axes, names, {n: f[key] for n, f in ours.items()}, -0.2, "C0", "this machine")
        known = {n: f[key] for n, f in PUBLISHED["models"].items()}
        _bars(axes, names, known, 0.2, "0.8", "published (M1 Pro)")
        axes.set_title(title, fontsize=10)
        axes.set_xticks(range(len(names)), names)
        axes.margins(y=0.2)
        axes.grid(axis="y", color="0.92")
        axes.set_axisbelow(True)
    first = figure.get_axes()[0]
    first.set_ylabel("times float32 (at the bars: a second)")
    first.legend(frameon=False, loc="upper left", fontsize=9)
    figure.savefig(path, dpi=150)


def _bars(
    axes: Any, names: Sequence[str], values: dict[str, float], at: float, color: str, label: str
) -> None:
    there = [(i, name) for i, name in enumerate(names) if name in values]
    heights = [values[name] / values["float32"] for _, name in there]
    drawn = axes.bar([i + at for i, _ in there], heights, 0.38, color=color, label=label)
    axes.bar_label(drawn, [f"{values[name]:.3g}" for _, name in there], fontsize=9, padding=2)


def _point(figures: dict[str, Any]) -> Point:
    latency = figures["latency_ms"]
    return Point(
        figures["clients"], figures["queries_per_second"], latency["average"], latency["p95"]
    )


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
