"""One stage from its recipe to `final_model/`: what is trained, where it goes on, what it leaves.

OUT/checkpoint-1000/ …   weights, optimizer and random states: a killed run goes on from the last
OUT/warm_up/             the head before the first step, where the recipe prepares it
OUT/final_model/         the trained encoder
OUT/training_config.json, training_losses.png, training_log.json
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from siftline.encode.idf import IdfTable
from siftline.errors import MissingExtraError, UsageError
from siftline.model.progress import Progress, silent
from siftline.train.calibration import TEXTS, calibrate_bias
from siftline.train.corpus import read_corpus
from siftline.train.data import Batches, Steps, TrainingSet, read_training_set
from siftline.train.evaluation import early_stopping, evaluation_settings
from siftline.train.objective import process, processes
from siftline.train.recipe import Recipe, TeacherSpec
from siftline.train.score_ahead import score_steps
from siftline.train.student import IDF_FILE, Student, open_student
from siftline.train.teachers import Ensemble, Teacher
from siftline.train.trainer import Measure, SparseTrainer
from siftline.train.warm_up import WarmUp, warm_up_head

CONFIG = "training_config.json"
LOG = "training_log.json"
PLOT = "training_losses.png"
FINAL = "final_model"
WARM_UP = "warm_up"

#: Opens the teacher of a recipe.
OpenTeacher = Callable[[TeacherSpec], Teacher]
#: Finds the folder of a model: a path, or a name of the catalogue.
FindModel = Callable[[str], Path]


def train(
    recipe: Recipe,
    *,
    find_model: FindModel,
    open_teacher: OpenTeacher,
    measure: Measure | None = None,
    callbacks: Sequence[Any] = (),
    progress: Progress = silent,
) -> Path:
    """Train a stage; the folder `final_model`.

    A run that was stopped goes on from its last checkpoint and ends with the weights it would have
    had; one that is finished stays as it is. Teachers score what the steps will rank ahead of them;
    progress: of that and of a warm-up. UsageError, before the first step, for what does not fit,
    and for an output folder that another recipe has written to; ModelError where the loss is no
    number.
    """
    out = Path(recipe.output_dir)
    if measure is None and recipe.early_stopping_patience is not None:
        raise UsageError("early_stopping_patience needs eval_data: nothing tells what is better")
    _check_folder(out, recipe)
    if finished(out):
        return out / FINAL
    sets = training_sets(recipe)
    from transformers import set_seed

    arguments = _arguments(recipe)
    set_seed(arguments.seed)
    student = _student(recipe, find_model)
    ensemble = _ensemble(recipe, sets, open_teacher)
    steps = _steps(recipe, sets, arguments)
    _claim(out, recipe)
    checkpoint = _last_checkpoint(out)
    if recipe.mlm_steps or recipe.head_density is not None:
        _prepare_head(student, recipe, sets, out / WARM_UP, arguments, progress)
    start = student.document_weights() if recipe.weight_interpolation < 1 else None
    if ensemble is not None:
        in_batch = recipe.use_in_batch_negatives
        score_steps(ensemble.teachers, steps, in_batch=in_batch, progress=progress)
    trainer = SparseTrainer(
        student,
        recipe,
        steps,
        arguments,
        ensemble=ensemble,
        measure=measure,
        callbacks=[*callbacks, *early_stopping(recipe)],
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    if start is not None:
        student.interpolate(start, recipe.weight_interpolation)
    if process() == 0:
        student.save(out / FINAL)
        _report(out, trainer.state.log_history)
    if processes() > 1:
        torch.distributed.barrier()  # a next stage begins with what this one has written
    return out / FINAL


def finished(out: Path) -> bool:
    """Whether the run of an output folder came to its end."""
    return (out / FINAL).is_dir() and (out / LOG).is_file()


def _steps(recipe: Recipe, sets: Sequence[TrainingSet], arguments: Any) -> Steps:
    """The batches of the whole training; its number of steps goes into the arguments."""
    batch = arguments.per_device_train_batch_size * processes()

    def epoch(number: int) -> Batches:
        return Batches(
            sets,
            batch,
            recipe.sample_num_one_query,
            seed=arguments.seed + number,
            swaps=recipe.swap_times,
        )

    accumulated = arguments.gradient_accumulation_steps
    if arguments.max_steps <= 0:
        arguments.max_steps = int(len(epoch(0)) * arguments.num_train_epochs) // accumulated
    return Steps(arguments.max_steps * accumulated, epoch)


def _prepare_head(
    student: Student,
    recipe: Recipe,
    sets: Sequence[TrainingSet],
    folder: Path,
    arguments: Any,
    progress: Progress,
) -> None:
    """Warm up and calibrate the head, or take what an earlier run has made of it."""
    if folder.is_dir():
        student.load(folder)
        return
    student.to(arguments.device)
    losses = _warm_up(student, recipe, arguments.seed, progress) if recipe.mlm_steps else []
    if recipe.head_density is not None:
        texts = _documents(sets, TEXTS, arguments.seed)
        calibrate_bias(
            student.documents,
            student.tokenizer,
            texts,
            recipe.head_density,
            max_length=recipe.max_seq_length,
            told=lambda done: progress("texts for the head's bias", done, len(texts)),
        )
    if process() == 0:
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        student.save(partial)
        (partial / "losses.json").write_text(json.dumps(losses), encoding="utf-8")
        os.replace(partial, folder)


def _warm_up(student: Student, recipe: Recipe, seed: int, progress: Progress) -> list[float]:
    """Teach the head in masked-language-model steps; their losses."""
    settings = WarmUp(
        recipe.mlm_steps,
        learning_rate=recipe.mlm_learning_rate,
        batch_size=recipe.mlm_batch_size,
        max_length=recipe.max_seq_length,
        backbone=recipe.mlm_backbone,
        seed=seed,
    )
    corpus = Path(recipe.mlm_corpus or "")

    def told(step: int, loss: float) -> None:
        progress("masked-language-model steps", step, settings.steps)

    return warm_up_head(
        student.documents, student.tokenizer, lambda: read_corpus(corpus), settings, told
    )


def _documents(sets: Sequence[TrainingSet], count: int, seed: int) -> list[str]:
    """Up to `count` different documents of the training, drawn at random."""
    every = {text for one in sets for row in one.rows for text in row.documents}
    return random.Random(seed).sample(sorted(every), min(count, len(every)))


def training_sets(recipe: Recipe) -> list[TrainingSet]:
    """The rows of every file of a recipe; UsageError for a folder or a row that does not fit."""
    paths = [Path(name) for name in recipe.train_file]
    for name in recipe.train_file_dir:
        folder = Path(name)
        if not folder.is_dir():
            raise UsageError(f"there is no folder of training data '{folder}'")
        paths += sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    return [
        read_training_set(path, recipe.data_type, first_rank=recipe.first_rank_thresh)
        for path in paths
    ]


def _arguments(recipe: Recipe) -> Any:
    from transformers import TrainingArguments

    settings: dict[str, Any] = {
        "report_to": "none",
        "logging_steps": 50,
        "logging_first_step": True,
        "remove_unused_columns": False,
        "save_only_model": False,
        "dataloader_pin_memory": False,
        "ddp_find_unused_parameters": False,
        "weight_decay": 0.01,
        "disable_tqdm": True,
        **evaluation_settings(recipe),
        **recipe.arguments,
    }
    # without it, bf16 asks for a GPU even where there is only the processor
    settings.setdefault("use_cpu", not torch.accelerator.is_available())
    names = {f.name for f in fields(TrainingArguments)}
    if "activation_checkpointing" in names and "gradient_checkpointing" in settings:
        settings["activation_checkpointing"] = settings.pop("gradient_checkpointing")
    for name in ("learning_rate", "weight_decay", "max_grad_norm", "num_train_epochs"):
        if isinstance(settings.get(name), str):
            settings[name] = float(settings[name])
    try:
        arguments = TrainingArguments(output_dir=recipe.output_dir, **settings)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the training arguments do not fit: {error}") from None
    if "tensorboard" in arguments.report_to and find_spec("tensorboard") is None:
        raise MissingExtraError("report_to: tensorboard", "train")
    return arguments


def _student(recipe: Recipe, find_model: FindModel) -> Student:
    folder = find_model(recipe.model_name_or_path)
    table = None
    if recipe.inf_free and recipe.idf_path is not None and recipe.idf_form == "score":
        table = IdfTable.from_file(Path(recipe.idf_path))
    elif recipe.inf_free and recipe.idf_form == "score":
        table = IdfTable.from_file(folder / IDF_FILE)
    return open_student(
        folder,
        idf=table,
        train_idf=recipe.idf_requires_grad,
        inference_free=recipe.inf_free,
        tokenizer=find_model(recipe.tokenizer_name) if recipe.tokenizer_name else None,
        activation="l0" if recipe.use_l0 else "log1p",
        prune_ratio=recipe.prune_ratio,
        dropout=recipe.dropout,
    )


def _ensemble(
    recipe: Recipe, sets: Sequence[TrainingSet], open_teacher: OpenTeacher
) -> Ensemble | None:
    if set(recipe.loss_types) <= {"infonce"}:
        return None
    if recipe.teachers:
        teachers = [open_teacher(spec) for spec in recipe.teachers]
        return Ensemble(teachers, [spec.weight for spec in recipe.teachers], recipe.score_scale)
    for one in sets:
        if any(row.scores is None for row in one.rows):
            raise UsageError(
                f"'{one.name}' has rows without scores and the recipe has no teachers: "
                f"{', '.join(recipe.loss_types)} needs one or the other"
            )
    if recipe.use_in_batch_negatives:
        raise UsageError(
            "scores in the data are of a query's own documents: in-batch distillation "
            "needs teachers"
        )
    return None


def _check_folder(out: Path, recipe: Recipe) -> None:
    """UsageError if the output folder is another recipe's."""
    file = out / CONFIG
    if file.is_file() and json.loads(file.read_text("utf-8")) != json.loads(_written(recipe)):
        raise UsageError(
            f"'{out}' holds a run of another recipe (see {file}): choose another output_dir, or "
            "remove the folder"
        )


def _claim(out: Path, recipe: Recipe) -> None:
    """Mark the output folder as this recipe's."""
    if process() == 0:
        out.mkdir(parents=True, exist_ok=True)
        partial = out / (CONFIG + ".partial")
        partial.write_text(_written(recipe), encoding="utf-8")
        os.replace(partial, out / CONFIG)


def _written(recipe: Recipe) -> str:
    return json.dumps(asdict(recipe), indent=1, default=str)


def _last_checkpoint(out: Path) -> str | None:
    """The newest whole checkpoint: its state is written last, and torn where a kill met it."""
    found = [path for path in out.glob("checkpoint-*") if _is_whole(path / "trainer_state.json")]
    return str(max(found, key=lambda p: int(p.name.split("-")[1]))) if found else None


def _is_whole(state: Path) -> bool:
    try:
        json.loads(state.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _report(out: Path, history: list[dict[str, float]]) -> None:
    (out / LOG).write_text(json.dumps(history, indent=1), encoding="utf-8")
    try:
        from siftline.train.plot import draw_losses
    except ImportError:
        raise MissingExtraError("the plot of the losses", "plot") from None
    draw_losses(history, out / PLOT)
