"""A training stage as one YAML file: the keys of the OpenSearch tuning sample and of its guide.

Every field of `transformers.TrainingArguments` is a key too and goes to the trainer as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from siftline.encode.parameters import nearest
from siftline.errors import Place, UsageError
from siftline.train.data import DataType
from siftline.train.losses import Negatives
from siftline.train.penalties import Schedule

LossType = Literal["kldiv", "marginmse", "infonce"]

#: How the IDF of a token enters. score: weights of query tokens (equation 5 of arXiv 2411.04403).
#: flops: divides weights in the penalty (its first version). none: queries count every token as 1.
IdfForm = Literal["score", "flops", "none"]

#: As model_name_or_path: what the stage before has trained.
PREVIOUS = "previous"

#: Names of the training guide → names of the tuning sample and of transformers.
ALIASES: Mapping[str, str] = {
    "num_steps": "max_steps",
    "batch_size": "per_device_train_batch_size",
    "lambda_flops": "flops_d_lambda",
    "num_hard_negatives": "sample_num_one_query",
    "scale_constant_S": "score_scale",
}


@dataclass(frozen=True, slots=True)
class TeacherSpec:
    """One teacher: what kind, which model, its share in the ensemble.

    model: a catalogue name or a folder. weight: shares are weights divided by their sum.
    max_length: tokens of a text or pair; None for as many as the model takes.
    """

    type: Literal["dense", "sparse", "cross"]
    model: str
    weight: float = 1.0
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one stage trains, on what, with which loss.

    sample_num_one_query: negatives beside the positive (`posnegs`), or documents of a list (`kd`).
    use_in_batch_negatives: scores against every document of the batch. dropout: in every layer that
    has one, None as the backbone says. flops_d_T: steps until the penalty has its full weight.
    flops_distinct: over pairs of different documents (`train/penalties.py`).
    vocabulary_sample: tokens, beside those of the batch's queries, whose weights a step computes
    (`train/columns.py`); None for the whole vocabulary.
    weight_interpolation: share of the trained weights in the final model, the rest are those that
    the stage began with (`Student.interpolate`); checkpoints hold the trained ones.
    score_scale: S of the teachers' ensemble. eval_data: BEIR folders, FOLDER or FOLDER:SPLIT,
    measured whenever the student is saved; eval_documents: of each, those judged for the queries
    included. early_stopping_patience: evaluations without progress. mlm_steps:
    masked-language-model steps on mlm_corpus that warm up a head; mlm_backbone: and the backbone
    with it. head_density: part of the training's documents in which a token weighs something when
    the first step begins (`train/calibration.py`); None leaves the bias of the head as it is.
    arguments: for `transformers.TrainingArguments`.
    """

    model_name_or_path: str
    output_dir: str
    train_file: tuple[str, ...] = ()
    train_file_dir: tuple[str, ...] = ()
    data_type: DataType = "posnegs"
    tokenizer_name: str | None = None
    inf_free: bool = True
    idf_path: str | None = None
    idf_requires_grad: bool = False
    idf_lr: float | None = None
    idf_form: IdfForm = "score"
    use_l0: bool = False
    prune_ratio: float = 0.0
    dropout: float | None = None
    max_seq_length: int = 512
    query_max_length: int = 64
    loss_types: tuple[LossType, ...] = ("kldiv",)
    ranking_loss_weight: float = 1.0
    temperature: float = 1.0
    negatives: Negatives = "own"
    use_in_batch_negatives: bool = False
    sample_num_one_query: int = 2
    swap_times: int = 0
    first_rank_thresh: int | None = None
    flops_d_lambda: float = 1e-3
    flops_d_T: int = 10_000
    flops_q_lambda: float = 0.0
    flops_q_T: int = 10_000
    flops_threshold: int | None = None
    flops_by_slot: bool = True
    flops_distinct: bool = False
    lambda_schedule: Schedule = "quadratic"
    vocabulary_sample: int | None = None
    weight_interpolation: float = 1.0
    teachers: tuple[TeacherSpec, ...] = ()
    score_scale: float = 30.0
    teacher_cache: str | None = None
    eval_data: tuple[str, ...] = ()
    eval_split: str = "test"
    eval_queries: int = 100
    eval_documents: int = 2000
    early_stopping_patience: int | None = None
    early_stopping_threshold: float = 0.0
    mlm_steps: int = 0
    mlm_corpus: str | None = None
    mlm_learning_rate: float = 1e-3
    mlm_batch_size: int = 32
    mlm_backbone: bool = False
    head_density: float | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


#: Keys whose values have a shape of their own.
_SHAPED = {"kd_ensemble_teacher_kwargs", "teachers", "beir_dir", "beir_datasets"}

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "data_type": get_args(DataType),
    "idf_form": get_args(IdfForm),
    "negatives": get_args(Negatives),
    "lambda_schedule": get_args(Schedule),
}
_LISTS = ("train_file", "train_file_dir", "loss_types", "eval_data")

#: Where the tuning sample looks for its `beir_datasets`.
BEIR_DIR = "data/beir"


def read_recipe(path: Path) -> Recipe:
    """The recipe of a YAML file; paths in it are relative to the file.

    UsageError names the file and the key: an unknown one (with the nearest), a value of the wrong
    type, λ < 0, no training data.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read the recipe: {error}", Place(str(path))) from None
    if not isinstance(values, dict):
        raise UsageError("a recipe is a mapping of keys to values", Place(str(path)))
    return make_recipe(values, path)


def make_recipe(values: Mapping[str, Any], path: Path) -> Recipe:
    """The recipe of keys and values; path: where they stand, for errors and relative paths."""
    own = {f.name for f in fields(Recipe)} - {"arguments", "teachers"}
    passed = _trainer_keys()
    known = own | passed | set(ALIASES) | _SHAPED
    given: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        place = Place(str(path), field=str(key))
        if key not in known:
            raise UsageError(f"unknown key '{key}'{nearest(str(key), known)}", place)
        name = ALIASES.get(key, key)
        if name in given or name in arguments:
            raise UsageError(f"'{key}' and '{name}' say the same thing", place)
        if key == "teachers":
            given["teachers"] = tuple(_teacher(entry, place) for entry in _list(value, place))
        elif key == "kd_ensemble_teacher_kwargs":
            given.update(_ensemble(value, place))
        elif key in ("beir_dir", "beir_datasets"):
            given["eval_data"] = _beir(values, place)
        elif name in own:
            given[name] = _value(name, value, place)
        else:
            arguments[name] = value
    return _checked(given, arguments, path)


def _trainer_keys() -> set[str]:
    from transformers import TrainingArguments

    return {f.name for f in fields(TrainingArguments)} - {"output_dir"}


def _checked(given: dict[str, Any], arguments: dict[str, Any], path: Path) -> Recipe:
    place = Place(str(path))
    for needed in ("model_name_or_path", "output_dir"):
        if needed not in given:
            raise UsageError(f"a recipe needs '{needed}'", place)
    for key in ("train_file", "train_file_dir", "eval_data"):
        given[key] = tuple(str(path.parent / name) for name in given.get(key, ()))
    for key in ("output_dir", "idf_path", "teacher_cache", "mlm_corpus"):
        if given.get(key) is not None:
            given[key] = str(path.parent / given[key])
    recipe = Recipe(**given, arguments=arguments)
    _check(recipe, place)
    return recipe


def _check(recipe: Recipe, place: Place) -> None:
    """UsageError for values that do not go together or lie out of range."""
    if not recipe.train_file and not recipe.train_file_dir:
        raise UsageError("a recipe needs 'train_file' or 'train_file_dir'", place)
    for key in ("flops_d_lambda", "flops_q_lambda", "ranking_loss_weight", "score_scale"):
        if getattr(recipe, key) < 0:
            raise UsageError(f"{key} is at least 0, not {getattr(recipe, key)}", place)
    for key in ("eval_queries", "eval_documents", "early_stopping_patience", "vocabulary_sample"):
        value = getattr(recipe, key)
        if value is not None and value < 1:
            raise UsageError(f"{key} is at least 1, not {value}", place)
    _check_ranges(recipe, place)
    least = 1 if recipe.data_type == "posnegs" else 2
    if recipe.sample_num_one_query < least:
        raise UsageError(
            f"sample_num_one_query is at least {least} for {recipe.data_type}, not "
            f"{recipe.sample_num_one_query}",
            place,
        )
    for loss in recipe.loss_types:
        if loss not in get_args(LossType):
            known = ", ".join(get_args(LossType))
            raise UsageError(f"unknown loss '{loss}' (known: {known})", place)
    if recipe.vocabulary_sample is not None and (not recipe.inf_free or recipe.prune_ratio):
        raise UsageError(
            "vocabulary_sample needs inference-free queries (inf_free: true) and prune_ratio: 0: "
            "queries of the model, and the largest weight of a document, take every token",
            place,
        )
    _check_idf(recipe, place)
    _check_warm_up(recipe, place)


def _check_ranges(recipe: Recipe, place: Place) -> None:
    if recipe.dropout is not None and not 0 <= recipe.dropout < 1:
        raise UsageError(f"dropout is from 0 to below 1, not {recipe.dropout}", place)
    if not 0 < recipe.weight_interpolation <= 1:
        raise UsageError(
            f"weight_interpolation is above 0 and at most 1, not {recipe.weight_interpolation}",
            place,
        )
    if recipe.head_density is not None and not 0 < recipe.head_density < 1:
        raise UsageError(f"head_density is above 0 and below 1, not {recipe.head_density}", place)
    if recipe.temperature <= 0:
        raise UsageError(f"temperature is above 0, not {recipe.temperature}", place)


def _check_idf(recipe: Recipe, place: Place) -> None:
    if not recipe.inf_free or recipe.idf_form == "none" or recipe.idf_path is not None:
        return
    model = recipe.model_name_or_path
    if recipe.idf_form == "score" and (
        model == PREVIOUS or (Path(place.file or "").parent / model / "idf.json").is_file()
    ):
        return  # a trained encoder brings its own
    raise UsageError(
        "inference-free queries need 'idf_path' (made by siftline idf build), or idf_form: none",
        place,
    )


def _check_warm_up(recipe: Recipe, place: Place) -> None:
    if recipe.mlm_steps < 0 or recipe.mlm_batch_size < 1:
        raise UsageError("mlm_steps is at least 0 and mlm_batch_size at least 1", place)
    if recipe.mlm_steps and recipe.mlm_corpus is None:
        raise UsageError("mlm_steps needs 'mlm_corpus', texts for the steps", place)


def _value(name: str, value: Any, place: Place) -> Any:
    if name in _LISTS:
        return tuple(str(entry) for entry in _list(value, place))
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            known = ", ".join(_CHOICES[name])
            raise UsageError(f"{name} is '{value}' (expected {known})", place)
        return value
    default = next(f for f in fields(Recipe) if f.name == name).type
    kinds = {part.strip() for part in str(default).split("|")}
    if value is None and "None" in kinds:
        return None
    if "bool" in kinds and isinstance(value, bool):
        return value
    if "str" in kinds and isinstance(value, str):
        return value
    number = _number(value)
    if number is not None and "float" in kinds:
        return number
    if number is not None and "int" in kinds and number == int(number):
        return int(number)
    raise UsageError(f"{name} is {value!r}, expected {default}", place)


def _number(value: Any) -> float | None:
    """A number; YAML reads 1e-7 as text, which people write all the same."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value)
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _list(value: Any, place: Place) -> list[Any]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise UsageError(f"expected a list, not {value!r}", place)
    return value


def _teacher(entry: Any, place: Place) -> TeacherSpec:
    if not isinstance(entry, dict) or not {"type", "model"} <= set(entry):
        raise UsageError(f"a teacher has a type and a model, not {entry!r}", place)
    known = {"type", "model", "weight", "max_length"}
    extra = set(entry) - known
    if extra:
        hint = nearest(str(min(extra)), known)
        raise UsageError(f"unknown key '{min(extra)}' of a teacher{hint}", place)
    if entry["type"] not in ("dense", "sparse", "cross"):
        raise UsageError(f"teacher type '{entry['type']}' (expected dense, sparse, cross)", place)
    weight = _number(entry.get("weight", 1.0))
    if weight is None or weight < 0:
        raise UsageError(f"the weight of a teacher is at least 0, not {entry['weight']}", place)
    length = entry.get("max_length")
    if length is not None and (not isinstance(length, int) or length < 8):
        raise UsageError(f"max_length of a teacher is at least 8 tokens, not {length!r}", place)
    return TeacherSpec(entry["type"], str(entry["model"]), weight, length)


def _ensemble(value: Any, place: Place) -> dict[str, Any]:
    """The tuning sample's form: parallel lists of types and model ids."""
    if not isinstance(value, dict) or not {"types", "model_ids"} <= set(value):
        raise UsageError("kd_ensemble_teacher_kwargs has types and model_ids", place)
    types, models = value["types"], value["model_ids"]
    if not isinstance(types, list) or not isinstance(models, list) or len(types) != len(models):
        raise UsageError("types and model_ids are lists of one length", place)
    found: dict[str, Any] = {
        "teachers": tuple(
            _teacher({"type": t, "model": m}, place) for t, m in zip(types, models, strict=True)
        )
    }
    if "score_scale" in value:
        found["score_scale"] = _value("score_scale", value["score_scale"], place)
    return found


def _beir(values: Mapping[str, Any], place: Place) -> tuple[str, ...]:
    """The tuning sample's form: a folder, and names in it in a list or between commas."""
    if "eval_data" in values:
        raise UsageError("eval_data and beir_datasets say the same thing", place)
    names = values.get("beir_datasets")
    if names is None:
        raise UsageError("beir_dir needs beir_datasets, the folders in it to measure", place)
    listed = names.split(",") if isinstance(names, str) else _list(names, place)
    folder = Path(str(values.get("beir_dir", BEIR_DIR)))
    return tuple(str(folder / str(name).strip()) for name in listed)
