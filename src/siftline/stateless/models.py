"""The models of a package: found when it is opened, loaded when they are first used."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from siftline.encode.lazy import Lazy
from siftline.errors import PackageError, UnknownNameError, UsageError
from siftline.model.locate import ModelFiles
from siftline.model.parallel import available_threads
from siftline.model.session import Execution, Session, open_session
from siftline.schema.nearest import nearest
from siftline.schema.package import ModelOptions, Package
from siftline.stateless.expressions import expression_functions
from siftline.stateless.function import Function, FunctionEvaluator
from siftline.stateless.onnx import onnx_functions
from siftline.stateless.scan import ModelFile, find_models
from siftline.stateless.trees import tree_function

__all__ = ["Function", "FunctionEvaluator", "Model", "ModelsEvaluator", "open_models"]

#: Signatures whose name says nothing: `default.x` is `x`.
_DEFAULT = ("default", "serving_default")


class Model:
    """A model and its functions; the file is read when they are first asked for."""

    def __init__(self, name: str, kind: str, load: Callable[[], Mapping[str, Function]]) -> None:
        self.name = name
        self.kind = kind
        self._functions = Lazy(load)

    @property
    def functions(self) -> Mapping[str, Function]:
        """The functions by name; ModelError or PackageError where the file is damaged."""
        return self._functions()

    def function(self, *names: str) -> FunctionEvaluator:
        """A new evaluator of a function.

        Without a name the model must have one function only. Names are joined by `.`; one matches a
        function, or the beginning or end of only one `signature.output`. UnknownNameError where
        there is none, UsageError where there are several.
        """
        return FunctionEvaluator(self.find(".".join(names)))

    def find(self, name: str) -> Function:
        """The function that a name means, as `function` has it."""
        functions = self.functions
        if name in functions:
            return functions[name]
        signature, _, rest = name.partition(".")
        if signature in _DEFAULT:
            name = rest
            if name in functions:
                return functions[name]
        if not name:
            if len(functions) == 1:
                return next(iter(functions.values()))
            self._ambiguous(
                f"More than one function is available in model '{self.name}', but no name is given"
            )
        for what, matching in (
            ("start by", [f for n, f in functions.items() if n.startswith(f"{name}.")]),
            ("called", [f for n, f in functions.items() if n.endswith(f".{name}")]),
        ):
            if len(matching) == 1:
                return matching[0]
            if matching:
                self._ambiguous(f"Multiple functions {what} '{name}' in model '{self.name}'")
        raise UnknownNameError(
            f"No function named '{name}' in model '{self.name}'. Available functions: "
            f"{', '.join(functions)}"
        )

    def _ambiguous(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. Available functions: {', '.join(self.functions)}")

    def __repr__(self) -> str:
        return f"Model({self.name!r}, {self.kind!r})"


class ModelsEvaluator(Mapping[str, Model]):
    """The models of an application by name."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = dict(models)

    def __getitem__(self, name: str) -> Model:
        """The model of that name; UnknownNameError lists those there are."""
        if name not in self._models:
            known = ", ".join(self._models) or "none"
            raise UnknownNameError(f"No model named '{name}'. Available models: {known}")
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def __contains__(self, name: object) -> bool:
        return name in self._models

    def get(self, name: str, default: Any = None) -> Any:
        """The model of that name, or the default."""
        return self._models.get(name, default)

    def evaluator_of(self, model: str, *function: str) -> FunctionEvaluator:
        """A new evaluator of a function of a model; names as in `Model.function`."""
        return self[model].function(*function)

    def load(self) -> None:
        """Read every model now, so that a damaged one shows at once."""
        for model in self.values():
            _ = model.functions


def open_models(package: Package, files: ModelFiles) -> ModelsEvaluator:
    """The models under `models/` of a package; none unless services.xml has `<model-evaluation/>`.

    files: where the package's model files are. Names and kinds are known at once, contents are read
    on first use. PackageError for options of a model there is not, or that cannot be honoured;
    ModelError for a file that no reader takes.
    """
    services = package.services
    if not services.model_evaluation:
        return ModelsEvaluator({})
    found = find_models(package)
    for name, options in services.model_options.items():
        if name not in found:
            raise PackageError(
                f"<model-evaluation> has options of model '{name}', which is not under models/"
                f"{nearest(name, found)}",
                options.place,
            )
        if found[name].kind != "onnx":
            raise PackageError(
                f"<model-evaluation> has ONNX options of model '{name}', which is"
                f" '{found[name].file}'",
                options.place,
            )
        _check_device(name, options)
    return ModelsEvaluator(
        {
            name: Model(name, file.kind, _loader(package, files, file))
            for name, file in found.items()
        }
    )


def _check_device(name: str, options: ModelOptions) -> None:
    if options.gpu_device is None:
        return
    from siftline.model.onnx_session import require_cuda

    require_cuda(f"model '{name}'")


def _loader(
    package: Package, files: ModelFiles, model: ModelFile
) -> Callable[[], Mapping[str, Function]]:
    def load() -> Mapping[str, Function]:
        path = files.path(model.file)
        if model.kind == "onnx":
            return onnx_functions(model.name, path, _open(package, files, model))
        if model.kind == "expressions":
            return expression_functions(model.name, path, model.file, package.folder)
        return {model.name: tree_function(model.name, path, model.kind)}

    return load


def _open(package: Package, files: ModelFiles, model: ModelFile) -> Session:
    """The model's session: its options, else the package's runtime settings, else Vespa's defaults.

    Vespa's default is a quarter of the processors for one operator (spec 6.1).
    """
    runtime = package.settings.runtime
    options = package.services.model_options.get(model.name, ModelOptions())
    threads = _count(options.intraop_threads, runtime.get("threads"))
    across = _count(options.interop_threads, None)
    return open_session(
        files.path(model.file),
        runtime=runtime.get("name", "auto"),  # type: ignore[arg-type]
        precision=runtime.get("precision"),  # type: ignore[arg-type]
        execution=Execution(threads, across, options.parallel, options.gpu_device),
    )


def _count(written: int | None, default: object) -> int:
    """Threads that a setting means: 0 is all processors, -n is their number divided by n."""
    processors = available_threads()
    if written is None:
        return default if isinstance(default, int) else max(1, processors // 4)
    if written > 0:
        return written
    return processors if written == 0 else max(1, math.ceil(processors / -written))
