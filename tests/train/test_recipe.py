"""Recipes: the seed's keys, the tuning sample's keys, and what is refused before the first step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from siftline.errors import UsageError
from siftline.train.recipe import Recipe, TeacherSpec, make_recipe, read_recipe

BASE = {
    "model_name_or_path": "splade-tiny",
    "output_dir": "out",
    "train_file": "pairs.jsonl",
    "idf_path": "idf.json",
}


def made(**values: Any) -> Recipe:
    return make_recipe(BASE | values, Path("/recipes/one.yaml"))


def test_the_guides_names_and_the_samples_mean_the_same() -> None:
    guide = made(
        num_steps=50_000,
        batch_size=40,
        learning_rate=2e-5,
        lambda_flops=0.02,
        num_hard_negatives=10,
        warmup_steps=2000,
        scale_constant_S=30,
    )
    sample = made(
        max_steps=50_000,
        per_device_train_batch_size=40,
        learning_rate=2e-5,
        flops_d_lambda=0.02,
        sample_num_one_query=10,
        warmup_steps=2000,
        score_scale=30,
    )
    assert guide == sample
    assert guide.flops_d_lambda == 0.02 and guide.score_scale == 30.0
    assert guide.arguments["max_steps"] == 50_000


def test_a_file_is_read_and_its_paths_are_its_own(tmp_path: Path) -> None:
    file = tmp_path / "finetune.yaml"
    file.write_text(
        "model_name_or_path: out/pretrained\noutput_dir: out\ntrain_file_dir: [data]\n"
        "idf_path: idf.json\nlambda_flops: 1e-7\nbf16: true\n"
        "kd_ensemble_teacher_kwargs:\n  types: [dense, sparse]\n  model_ids: [bge, splade]\n"
        "  score_scale: 10\n"
    )
    recipe = read_recipe(file)
    assert recipe.flops_d_lambda == 1e-7 and recipe.arguments == {"bf16": True}
    assert recipe.train_file_dir == (str(tmp_path / "data"),)
    assert recipe.output_dir == str(tmp_path / "out")
    assert recipe.teachers == (TeacherSpec("dense", "bge"), TeacherSpec("sparse", "splade"))
    assert recipe.score_scale == 10.0


def test_teachers_have_shares() -> None:
    recipe = made(teachers=[{"type": "cross", "model": "m", "weight": 0.5, "max_length": 256}])
    assert recipe.teachers == (TeacherSpec("cross", "m", 0.5, 256),)


def test_what_is_measured_by_either_name() -> None:
    own = made(eval_data=["beir/nfcorpus", "beir/medquad:dev"], eval_queries=50)
    assert own.eval_data == ("/recipes/beir/nfcorpus", "/recipes/beir/medquad:dev")
    sample = made(beir_dir="beir", beir_datasets="nfcorpus, scifact")
    assert sample.eval_data == ("/recipes/beir/nfcorpus", "/recipes/beir/scifact")
    assert made(beir_datasets=["nq"]).eval_data == ("/recipes/data/beir/nq",)
    assert (own.eval_queries, own.eval_documents, own.eval_split) == (50, 2000, "test")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"eval_data": "a", "beir_datasets": "b"}, "say the same thing"),
        ({"beir_dir": "beir"}, "beir_dir needs beir_datasets"),
        ({"vocabulary_sample": 0}, "vocabulary_sample is at least 1, not 0"),
        ({"vocabulary_sample": 9, "inf_free": False}, "needs inference-free queries"),
        ({"vocabulary_sample": 9, "prune_ratio": 0.1}, "and prune_ratio: 0"),
        ({"eval_queries": 0}, "eval_queries is at least 1, not 0"),
        ({"early_stopping_patience": 0}, "early_stopping_patience is at least 1"),
        ({"lambda_flop": 1}, r"one\.yaml \(lambda_flop\): .*did you mean 'lambda_flops'"),
        ({"lambda_flops": -0.1}, "flops_d_lambda is at least 0, not -0.1"),
        ({"lambda_flops": 0.1, "flops_d_lambda": 0.1}, "say the same thing"),
        ({"loss_types": ["kl"]}, "unknown loss 'kl'"),
        ({"data_type": "pairs"}, "expected posnegs, kd, kd-ids"),
        ({"use_l0": "maybe"}, "use_l0 is 'maybe'"),
        ({"max_seq_length": 12.5}, "max_seq_length is 12.5"),
        ({"temperature": 0}, "above 0"),
        ({"weight_interpolation": 0}, "above 0 and at most 1, not 0"),
        ({"dropout": 1}, "from 0 to below 1, not 1"),
        ({"data_type": "kd", "sample_num_one_query": 1}, "at least 2 for kd"),
        ({"train_file": []}, "needs 'train_file' or 'train_file_dir'"),
        ({"idf_path": None}, "need 'idf_path'"),
        ({"teachers": [{"type": "best", "model": "m"}]}, "expected dense, sparse, cross"),
        ({"teachers": [{"type": "dense"}]}, "a type and a model"),
        (
            {"teachers": [{"type": "dense", "model": "m", "max_lenght": 9}]},
            r"'max_lenght' of a teacher \(did you mean 'max_length'",
        ),
        ({"teachers": [{"type": "dense", "model": "m", "max_length": 7}]}, "at least 8 tokens"),
        ({"kd_ensemble_teacher_kwargs": {"types": ["dense"], "model_ids": []}}, "one length"),
    ],
)
def test_what_does_not_fit(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        made(**values)


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "bad.yaml").write_text("a: [\n")
    for name, message in (("list", "a mapping"), ("bad", "cannot read"), ("no", "cannot read")):
        with pytest.raises(UsageError, match=message):
            read_recipe(tmp_path / f"{name}.yaml")
