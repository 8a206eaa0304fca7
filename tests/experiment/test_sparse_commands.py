"""`siftline eval-sparse` and `siftline sweep` on a toy backbone and a toy collection."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_retrieval import LENGTH, WORDS, write_backbone, write_collection

from siftline.train import run as training

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(siftline_command: Run) -> Run:
    """Run `siftline` with arguments: exit status, standard output, standard error."""
    return siftline_command


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("commands")
    write_backbone(root / "backbone")
    write_collection(root / "beir")
    (root / "idf.json").write_text(json.dumps(dict.fromkeys(WORDS, 1.5)))
    rows = [
        {"query": f"w{i}", "pos": f"w{i} w{i + 1}", "negs": [f"w{i + 5}", f"w{i + 7}"]}
        for i in range(8)
    ]
    (root / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setenv("SIFTLINE_CACHE", str(root / "cache"))


def test_models_side_by_side(run: Run, root: Path, tmp_path: Path) -> None:
    model, data = root / "backbone", root / "beir"
    code, out, err = run(
        *("eval-sparse", "bm25", f"both={model}@bi-encoder", model),
        *("--data", data, "--data", f"{data}:dev", "--idf", root / "idf.json"),
        *("--baseline", "both", "--out", tmp_path / "report"),
    )
    assert code == 0, err
    assert "| bm25 |  |  |" in out and "| backbone | ✔ | 0.0M |" in out
    assert "| nDCG@10 | beir (test) | beir (dev) | mean |" in out
    assert (tmp_path / "report" / "sparse.md").read_text() == out
    found = json.loads((tmp_path / "report" / "sparse.json").read_text())
    assert found["baseline"] == "both" and found["sets"][1]["split"] == "dev"
    assert [m["queries"] for m in found["models"]] == ["bm25", "bi-encoder", "inference-free"]
    assert all(0 < m["flops"] for m in found["models"])
    assert (tmp_path / "report" / "sparse.png").is_file()


def test_figures_as_json(run: Run, root: Path, tmp_path: Path) -> None:
    code, out, _ = run("eval-sparse", "bm25", "--data", root / "beir", "--json")
    assert code == 0 and json.loads(out)["models"][0]["model"] == "bm25"
    code, _, err = run("eval-sparse", root / "backbone", "--data", root / "beir", "--mode", "x")
    assert code == 2 and "unknown mode 'x'" in err


def test_a_sweep_trains_each_weight_once(
    run: Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = root / "recipe.yaml"
    values = {
        "model_name_or_path": "backbone",
        "output_dir": str(tmp_path / "out"),
        "train_file": "rows.jsonl",
        "idf_path": "idf.json",
        "loss_types": ["infonce"],
        "batch_size": 4,
        "num_steps": 16,
        "learning_rate": 0.005,
        "flops_d_T": 1,
        "max_seq_length": LENGTH,
        "eval_data": "beir",
        "use_cpu": True,
    }
    config.write_text(json.dumps(values))
    code, out, err = run("sweep", config, "--lambda", "100,0.001")
    assert code == 0, err
    written = json.loads((tmp_path / "out-sweep" / "sweep.json").read_text())
    low, high = written["points"]
    assert [low["lambda"], high["lambda"]] == [0.001, 100]
    assert low["document_length"] > high["document_length"] + 1
    assert Path(low["model"]) == tmp_path / "out-sweep" / "lambda-0.001" / "final_model"
    assert (tmp_path / "out-sweep" / "sweep.png").is_file()
    assert "0.001" in out and "The curve has no knee." in out
    monkeypatch.setattr(training, "SparseTrainer", lambda *_, **__: pytest.fail("trained again"))
    code, again, err = run("sweep", config, "--lambda", "0.001,100", "--json")
    assert code == 0 and json.loads(again) == written, err


def test_a_sweep_needs_something_to_measure(run: Run, root: Path, tmp_path: Path) -> None:
    config = root / "blind.yaml"
    values = {
        "model_name_or_path": "backbone",
        "output_dir": str(tmp_path / "blind"),
        "train_file": "rows.jsonl",
        "idf_form": "none",
    }
    config.write_text(json.dumps(values))
    code, _, err = run("sweep", config, "--lambda", "0.1")
    assert code == 2 and "a sweep needs judged collections" in err
    code, _, err = run("sweep", config, "--lambda", "a lot", "--data", root / "beir")
    assert code == 2 and "'a lot' is no weight" in err
