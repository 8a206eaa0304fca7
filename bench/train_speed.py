"""`python -m bench.train_speed --data ROWS [--loss infonce|kldiv] …`: training steps a second.

what: an inference-free encoder trained by `siftline train` and by the SparseEncoderTrainer of
      sentence-transformers: the same model, rows, batch, lengths, loss (SpladeLoss around
      SparseMultipleNegativesRankingLoss or SparseDistillKLDivLoss), FLOPS penalty and optimizer
rows: `posnegs` JSON lines; the first negative of each is used. For kldiv a teacher's scores are
      made up from common words, the same for both
method: both take turns, ROUNDS times; a round takes WARM steps that do not count and STEPS that
      do, all on one batch of its own and without dropout, so that the losses can be compared
figures: median steps a second of each and their ratio; the largest difference of ranking losses
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch  # noqa: TID253
from transformers import PrinterCallback, TrainerCallback  # noqa: TID253
from transformers.utils import logging as transformers_logging  # noqa: TID253

from bench.measurement import machine
from siftline.experiment.training.models import find_model
from siftline.train.recipe import make_recipe
from siftline.train.run import train

WARM = 2
PENALTY = 1e-6


class Clock(TrainerCallback):  # type: ignore[misc]  # not followed
    """Seconds between the first counted step and the end, and the ranking loss of every step."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.began = self.ended = 0.0
        self.losses: list[float] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == WARM:
            self.began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.ended = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, **named: Any) -> None:
        logs = named["logs"]
        if self.name in logs:
            self.losses.append(float(logs[self.name]))

    def rate(self, steps: int) -> float:
        return steps / (self.ended - self.began)


@dataclass(frozen=True)
class Speed:
    """Median steps a second of both, and how far the losses of the same steps are apart."""

    siftline: float
    sentence_transformers: float
    difference: float

    @property
    def ratio(self) -> float:
        return self.siftline / self.sentence_transformers


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.train_speed", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="posnegs JSON lines, also .gz")
    parser.add_argument("--model", default="splade-tiny", help="catalogue name or folder")
    parser.add_argument("--loss", choices=["infonce", "kldiv"], default="infonce")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=256, help="tokens of a document")
    parser.add_argument("--steps", type=int, default=5, help="counted steps of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--sample", type=int, help="vocabulary_sample of our recipe")
    parser.add_argument("--json", type=Path, help="write the figures and the machine to this file")
    return parser.parse_args(arguments)


def read_rows(path: Path, count: int) -> list[dict[str, Any]]:
    """Query, document and negative, with made-up scores of a teacher."""
    opened = gzip.open if path.suffix == ".gz" else open
    rows: list[dict[str, Any]] = []
    with opened(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if not row["negs"]:
                continue
            docs = [row["pos"], row["negs"][0]]
            words = set(row["query"].lower().split())
            scores = [float(len(words & set(text.lower().split()))) for text in docs]
            rows.append({"query": row["query"], "docs": docs, "scores": scores})
            if len(rows) == count:
                return rows
    raise SystemExit(f"{path} has {len(rows)} rows with a negative, of {count} that are needed")


def without_dropout(model: str, folder: Path) -> Path:
    """A copy of a backbone whose steps can be repeated."""
    shutil.copytree(find_model(model), folder, ignore=shutil.ignore_patterns("*.onnx"))
    config = json.loads((folder / "config.json").read_text())
    dropouts = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout")
    config.update({name: 0.0 for name in dropouts if name in config})
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def shared_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """What both trainers are told in the same words."""
    return {
        "per_device_train_batch_size": options.batch,
        "max_steps": WARM + options.steps,
        "learning_rate": 2e-5,
        "weight_decay": 0.0,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "bf16": options.bf16,
        "use_cpu": not torch.cuda.is_available(),
        "disable_tqdm": True,
    }


def ours(
    options: argparse.Namespace, backbone: Path, rows: list[dict[str, Any]], out: Path
) -> Clock:
    clock = Clock("ranking_loss")
    out.mkdir()
    if options.loss == "infonce":
        kind: Mapping[str, Any] = {"data_type": "posnegs", "sample_num_one_query": 1}
        lines = [{"query": r["query"], "pos": r["docs"][0], "negs": r["docs"][1:]} for r in rows]
    else:
        kind = {"data_type": "kd", "sample_num_one_query": 2}
        lines = rows
    (out / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    values = {
        "model_name_or_path": str(backbone),
        "output_dir": "run",
        "train_file": "rows.jsonl",
        "loss_types": [options.loss],
        "negatives": "documents" if options.loss == "infonce" else "own",
        "idf_form": "none",
        "flops_d_lambda": PENALTY,
        "flops_by_slot": False,
        "lambda_schedule": "constant",
        "max_seq_length": options.length,
        "query_max_length": options.length,
        "vocabulary_sample": options.sample,
        **kind,
        **shared_arguments(options),
    }
    recipe = make_recipe(values, out / "recipe.yaml")
    train(recipe, find_model=Path, open_teacher=_no_teacher, callbacks=[clock])
    # shown losses are moving averages; undone to compare them
    from siftline.train.trainer import DECAY

    shown = clock.losses
    clock.losses = shown[:1] + [
        (now - DECAY * before) / (1 - DECAY) for before, now in zip(shown, shown[1:], strict=False)
    ]
    return clock


def _no_teacher(spec: Any) -> Any:
    raise SystemExit(f"no teacher is used, yet one is asked for: {spec}")


def theirs(
    options: argparse.Namespace, backbone: Path, rows: list[dict[str, Any]], out: Path
) -> Clock:
    from datasets import Dataset
    from sentence_transformers import (
        SparseEncoder,
        SparseEncoderTrainer,
        SparseEncoderTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.modules import Router, Transformer
    from sentence_transformers.sparse_encoder import losses
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling

    document = Transformer(
        str(backbone), transformer_task="fill-mask", max_seq_length=options.length
    )
    query = SparseStaticEmbedding(tokenizer=document.tokenizer, frozen=True)
    model = SparseEncoder(
        modules=[
            Router.for_query_document(
                query_modules=[query], document_modules=[document, SpladePooling("max")]
            )
        ],
        device="cuda" if torch.cuda.is_available() else "cpu",
    )
    columns: dict[str, Any] = {
        "query": [row["query"] for row in rows],
        "positive": [row["docs"][0] for row in rows],
        "negative": [row["docs"][1] for row in rows],
    }
    if options.loss == "infonce":
        ranking: Any = losses.SparseMultipleNegativesRankingLoss(model)
    else:
        ranking = losses.SparseDistillKLDivLoss(model, temperature=1.0)
        columns["label"] = [row["scores"] for row in rows]
    clock = Clock("base_loss")
    trainer = SparseEncoderTrainer(
        model=model,
        args=SparseEncoderTrainingArguments(
            output_dir=str(out),
            router_mapping={"query": "query", "positive": "document", "negative": "document"},
            **shared_arguments(options),
        ),
        train_dataset=Dataset.from_dict(columns),
        loss=losses.SpladeLoss(model, ranking, document_regularizer_weight=PENALTY),
        callbacks=[clock],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return clock


def measure(options: argparse.Namespace) -> Speed:
    """Interleaved rounds of both."""
    rows = read_rows(options.data, options.batch * options.rounds)
    rates: dict[str, list[float]] = {"ours": [], "theirs": []}
    apart = 0.0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        backbone = without_dropout(options.model, folder / "backbone")
        for number in range(options.rounds):
            own = rows[number * options.batch : (number + 1) * options.batch]
            clocks = {}
            for name, call in (("ours", ours), ("theirs", theirs)):
                clocks[name] = call(options, backbone, own, folder / f"{name}{number}")
                rates[name].append(clocks[name].rate(options.steps))
            pairs = list(zip(clocks["ours"].losses, clocks["theirs"].losses, strict=False))
            apart = max([apart, *(abs(one - other) for one, other in pairs)])
            last = {name: f"{found[-1]:.3f}" for name, found in rates.items()}
            print(f"round {number + 1}: {last} steps/s, losses {pairs[0]}", file=sys.stderr)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    return Speed(medians["ours"], medians["theirs"], apart)


def main(arguments: list[str] | None = None) -> int:
    options = options_of(arguments)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger().setLevel(logging.ERROR)
    speed = measure(options)
    print("  ".join(machine().values()), f" threads {torch.get_num_threads()}")
    print(f"siftline               {speed.siftline:8.3f} steps/s")
    print(f"sentence-transformers  {speed.sentence_transformers:8.3f} steps/s")
    print(f"ratio                  {speed.ratio:8.2f}")
    print(f"ranking losses differ by at most {speed.difference:.2g}")
    if options.json:
        given = {name: str(value) for name, value in vars(options).items()}
        found = {"machine": machine(), "options": given, **asdict(speed), "ratio": speed.ratio}
        options.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
