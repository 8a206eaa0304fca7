"""Models at `/model-evaluation/v1`: listed, described, evaluated (spec 5.2 to 5.5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from siftline.application import Application
from siftline.errors import ModelError, UnboundError, UnknownNameError, UsageError
from siftline.serve.answers import json_bytes
from siftline.serve.host import Host
from siftline.serve.vespa.parameters import pairs
from siftline.stateless.models import Function, FunctionEvaluator, Model, ModelsEvaluator
from siftline.tensor.json import FORMS, to_json
from siftline.tensor.literal import format_literal
from siftline.tensor.tensor import Tensor

ROOT = "/model-evaluation"
VERSION = "v1"

#: The last segment of a path that evaluates.
EVALUATE = "eval"
FORMAT = "format.tensors"
MISSING = "missing-value"

#: Forms of a result that are a literal in a JSON string.
_LITERALS = ("string", "string-long")
_FORM = "application/x-www-form-urlencoded"


def routes(host: Host) -> list[BaseRoute]:
    """Everything at and below `/model-evaluation`, GET and POST."""
    api = ModelEvaluation(host)
    paths = (ROOT, f"{ROOT}/{{path:path}}")
    return [Route(path, api.respond, methods=["GET", "POST"]) for path in paths]


class ModelEvaluation:
    """Answers in the host's threads: reading a model and running it take their time."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def respond(self, request: Request) -> Response:
        """The answer to one request; 404 for whatever the request has wrong, as Vespa has it."""
        try:
            sent = await _parameters(request)
            answer = await self._host.pool.run(partial(self._answer, _address(request), sent))
        except UnboundError as error:
            return _reply({"error": str(error)}, 400)
        except UsageError as error:
            return _reply({"error": str(error)}, 404)
        except ModelError as error:
            return _reply({"error": str(error)}, 500)
        return _reply(answer)

    def _answer(self, address: tuple[str, list[str]], sent: Mapping[str, str]) -> Any:
        """Runs in a thread: the JSON value of the answer."""
        base, segments = address
        if not segments or segments[0].lower() != VERSION:
            raise UnknownNameError("unknown API version")
        with self._host.use() as application:
            models = _models(application)
            if len(segments) == 1:
                return {name: base + name for name in models}
            model = models[_spelled(models, segments[1])]
            names, evaluates = _function_name(segments[2:])
            if evaluates:
                return _evaluated(FunctionEvaluator(_function(model, names)), sent)
            if names:
                return _described(base, model, _function(model, names), {"model": model.name})
            functions = [_described(base, model, f, {}) for f in model.functions.values()]
            return {"model": model.name, "functions": functions}


async def _parameters(request: Request) -> dict[str, str]:
    """Names and values of the query string and of a form; a body of another type says nothing."""
    sent = pairs(request.scope["query_string"])
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method == "POST" and kind == _FORM:
        sent |= pairs(await request.body())
    return sent


def _address(request: Request) -> tuple[str, list[str]]:
    """The URL in front of a model's name, with the host that was asked; the path's segments."""
    base = f"{request.url.scheme}://{request.url.netloc}{ROOT}/{VERSION}/"
    path = request.path_params.get("path", "").rstrip("/")
    return base, path.split("/") if path else []


def _models(application: Application) -> ModelsEvaluator:
    if not application.package.services.model_evaluation:
        raise UnknownNameError("services.xml has no <model-evaluation/>, so there are no models")
    return application.models


def _function_name(segments: list[str]) -> tuple[str, bool]:
    """The function before the last `eval`, its parts joined by dots; whether there is an `eval`."""
    places = [place for place, name in enumerate(segments) if name.lower() == EVALUATE]
    return ".".join(segments[: places[-1]] if places else segments), bool(places)


def _spelled(known: Iterable[str], asked: str) -> str:
    """The name as it is written where it differs from what is asked in case only."""
    names = list(known)
    if asked in names:
        return asked
    return next((name for name in names if name.lower() == asked.lower()), asked)


def _function(model: Model, name: str) -> Function:
    return model.find(_spelled(model.functions, name))


def _described(
    base: str, model: Model, function: Function, head: Mapping[str, Any]
) -> dict[str, Any]:
    """A function as listings show it, behind `head`."""
    info = f"{base}{model.name}/{function.name.replace('.', '/')}"
    arguments = [{"name": name, "type": str(type_)} for name, type_ in function.listed.items()]
    return {
        **head,
        "function": function.name,
        "info": info,
        "eval": f"{info}/{EVALUATE}",
        "arguments": arguments,
    }


def _evaluated(evaluator: FunctionEvaluator, sent: Mapping[str, str]) -> Any:
    """The value for the arguments among the parameters; others are passed over."""
    form = sent.get(FORMAT, "short")
    if form not in (*FORMS, *_LITERALS):
        raise UsageError(f"unknown {FORMAT} '{form}' (known: {', '.join((*FORMS, *_LITERALS))})")
    function = evaluator.function
    if MISSING in sent:
        evaluator.set_missing_value(sent[MISSING])
    for name in (*function.aliases, *function.arguments):
        if name in sent:
            evaluator.bind(name, sent[name])
    return _rendered(evaluator.evaluate(), form)


def _rendered(result: Tensor, form: str) -> Any:
    if form in _LITERALS:
        return format_literal(result, typed=True, long=form == "string-long")
    return to_json(result, form)


def _reply(value: Any, status: int = 200) -> Response:
    return Response(json_bytes(value), status, media_type="application/json")
