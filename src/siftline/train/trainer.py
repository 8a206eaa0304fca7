"""Runs a stage: `transformers.Trainer` with our batches, losses, teachers and model folders."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, SequentialSampler
from transformers import PrinterCallback, Trainer, TrainingArguments

from siftline.errors import ModelError
from siftline.train.columns import Columns, sample_columns
from siftline.train.data import RankingList, Steps
from siftline.train.head import keep_uncompiled
from siftline.train.objective import Objective, process, processes
from siftline.train.recipe import Recipe
from siftline.train.student import Student
from siftline.train.teachers import Ensemble

#: What a student is worth: name → value, as `ndcg@10` and `flops`.
Measure = Callable[[Student], Mapping[str, float]]

#: Shown losses are moving averages with this decay.
DECAY = 0.99


class Collate:
    """A batch of lists to what the student and the objective take.

    Every process is given the whole batch and takes its own part of it, so that a teacher can score
    its queries against the documents of all.
    """

    def __init__(self, recipe: Recipe, student: Student, ensemble: Ensemble | None) -> None:
        self._recipe = recipe
        self._tokenizer = student.tokenizer
        self._vocabulary = len(student)
        self._ensemble = ensemble

    def __call__(self, batches: Sequence[Sequence[RankingList]]) -> dict[str, Any]:
        """The features of one batch; the loader hands it over as a list of one."""
        (whole,) = batches
        count, own = processes(), process()
        parts = [whole[rank::count] for rank in range(count)]
        lists = parts[own]
        texts = [text for one in lists for text in one.documents]
        asked = self._tokens([one.query for one in whole], self._recipe.query_max_length)
        return {
            "columns": self._columns(asked["input_ids"]),
            "query": {name: rows[own::count] for name, rows in asked.items()},
            "document": self._tokens(texts, self._recipe.max_seq_length),
            "size": len(lists[0].documents),
            "teacher": self._scores(parts, own),
            "lists": lists,
        }

    def _tokens(self, texts: list[str], length: int) -> dict[str, Tensor]:
        tokens = self._tokenizer(
            texts, padding=True, truncation=True, max_length=length, return_tensors="pt"
        )
        return {name: tokens[name] for name in ("input_ids", "attention_mask")}

    def _columns(self, ids: Tensor) -> tuple[Tensor, Tensor] | None:
        """What the queries of the whole batch need, the same in every process.

        A plain tuple: the trainer makes no other kind again when it moves tensors to a device.
        """
        size = self._recipe.vocabulary_sample
        if size is None:
            return None
        seed = blake2b(ids.numpy().tobytes(), digest_size=16).digest()
        return tuple(sample_columns(ids.flatten().tolist(), self._vocabulary, size, seed))

    def _scores(self, parts: Sequence[Sequence[RankingList]], own: int) -> Tensor | None:
        """Scores `(B, G)` or `(B, P·B·G)` of the teachers, or those that the data holds."""
        lists = parts[own]
        needed = set(self._recipe.loss_types) - {"infonce"}
        if not needed:
            return None
        if self._ensemble is None:
            found = [one.scores for one in lists if one.scores is not None]
            return torch.tensor(found) if len(found) == len(lists) else None
        in_batch = self._recipe.use_in_batch_negatives
        documents = [one.documents for part in (parts if in_batch else [lists]) for one in part]
        queries = [one.query for one in lists]
        return self._ensemble.scores(queries, documents, in_batch=in_batch)


class SparseTrainer(Trainer):
    """A stage being trained.

    measure: called at every evaluation; its values are `eval_` metrics, so that early stopping and
    the choice of the best checkpoint can use them.
    """

    control: Any
    optimizer: Any

    def __init__(
        self,
        student: Student,
        recipe: Recipe,
        steps: Steps,
        arguments: TrainingArguments,
        *,
        ensemble: Ensemble | None = None,
        measure: Measure | None = None,
        callbacks: Sequence[Any] = (),
    ) -> None:
        if arguments.torch_compile:
            keep_uncompiled()
        super().__init__(
            model=student,
            args=arguments,
            train_dataset=steps,
            eval_dataset=[0] if measure else None,
            data_collator=Collate(recipe, student, ensemble),
            callbacks=list(callbacks),
        )
        self.remove_callback(PrinterCallback)  # progress is the caller's, through callbacks
        idf = None if student.queries is None else student.queries.weights.detach()
        self._recipe = recipe
        self._objective = Objective(recipe, idf)
        self._measure = measure
        self._shown: dict[str, float] = {}

    def get_train_dataloader(self) -> Any:
        """The steps in their own order; the trainer neither shuffles nor shares them out."""
        return DataLoader(
            self.train_dataset,
            batch_size=1,
            sampler=SequentialSampler(self.train_dataset),
            collate_fn=self.data_collator,
        )

    def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> Tensor:
        """The objective of one batch; ModelError, with the batch saved, where it is no number."""
        columns = None if inputs["columns"] is None else Columns(*inputs["columns"])
        tokens = None if columns is None else columns.tokens
        queries, documents = model(inputs["query"], inputs["document"], inputs["size"], tokens)
        teacher = inputs["teacher"]
        if teacher is not None:
            teacher = teacher.to(documents.device)
        found = self._objective(queries, documents, teacher, self.state.global_step, columns)
        if not math.isfinite(float(found.loss.detach())):
            raise ModelError(self._kept(inputs["lists"]))
        for name, value in found.shown.items():
            known = self._shown.get(name)
            self._shown[name] = value if known is None else DECAY * known + (1 - DECAY) * value
        return found.loss

    def _kept(self, lists: Sequence[RankingList]) -> str:
        """Save a batch whose loss is no number; what to say."""
        path = Path(self.args.output_dir) / f"failed-batch-{self.state.global_step}.json"
        rows = [{"query": x.query, "docs": list(x.documents), "scores": x.scores} for x in lists]
        path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
        return (
            f"the loss is not a number at step {self.state.global_step}; its batch is in {path}. "
            "Lower learning_rate or flops_d_lambda, or go on from the last checkpoint"
        )

    def log(self, logs: dict[str, float], *arguments: Any, **named: Any) -> None:
        """Add what the objective shows to a line with a loss, and undo the factor in the loss."""
        if "loss" in logs:
            logs = {**logs, "loss": logs["loss"] / processes(), **self._shown}
        super().log(logs, *arguments, **named)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """What the student is worth now, as `eval_` metrics."""
        if self._measure is None:
            return {}
        student = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        training = student.training
        student.eval()
        with torch.no_grad():
            found = self._measure(student)
        student.train(training)
        metrics = {f"eval_{name}": value for name, value in found.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def create_optimizer(self, *_: Any) -> Any:
        """That of `optim`; no decay for biases and norms, a trained IDF table has its own rate."""
        if self.optimizer is None:
            arguments = self.args
            groups: dict[tuple[float, float], list[Any]] = defaultdict(list)
            for name, parameter in self.model.named_parameters():
                if not parameter.requires_grad:
                    continue
                rate, decay = arguments.learning_rate, arguments.weight_decay
                if name.endswith("queries.weights"):
                    rate, decay = self._recipe.idf_lr or rate, 0.0
                elif parameter.dim() < 2:
                    decay = 0.0
                groups[rate, decay].append(parameter)
            kind, settings = self.get_optimizer_cls_and_kwargs(arguments, self.model)
            self.optimizer = kind(
                [
                    {"params": own, "lr": rate, "weight_decay": decay}
                    for (rate, decay), own in groups.items()
                ],
                **settings,
            )
        return self.optimizer

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if self.args.should_save:
            student = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
            student.save(Path(output_dir or self.args.output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        student = self.accelerator.unwrap_model(model or self.model, keep_torch_compile=False)
        student.load(Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        self._load_from_checkpoint(self.state.best_model_checkpoint)
