"""How services.xml says models are to be run: honoured, or refused by name."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_package import GOLDEN, SERVICES, embedding_table, write_package, write_transformer
from siftline.errors import ModelError, PackageError, UsageError
from siftline.model.locate import ModelFiles
from siftline.model.onnx_session import OnnxSession
from siftline.model.session import Execution, open_session
from siftline.schema.read import read_package
from siftline.stateless import models as stateless
from siftline.stateless.models import ModelsEvaluator, open_models

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="openvino is not installed"
)


def models_with(
    tmp_path: Path, options: str, *, name: str = "t", settings: str = ""
) -> ModelsEvaluator:
    inner = f'<onnx><models><model name="{name}">{options}</model></models></onnx>'
    element = f"<model-evaluation>{inner}</model-evaluation>"
    folder = write_package(tmp_path / "app", SERVICES.replace("<model-evaluation/>", element))
    write_transformer(folder / "models" / "t.onnx")
    if settings:
        (folder / "ext").mkdir()
        (folder / "ext" / "siftline.toml").write_text(settings)
    package = read_package(folder)
    return open_models(package, ModelFiles(package))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What sessions are opened with, on a machine of 8 processors."""
    calls: list[dict[str, Any]] = []

    def record(path: Path, **options: Any) -> Any:
        calls.append(options)
        return open_session(path, **options)

    monkeypatch.setattr(stateless, "open_session", record)
    monkeypatch.setattr(stateless, "available_threads", lambda: 8)
    return calls


@pytest.mark.parametrize(
    ("options", "settings", "expected"),
    [
        ("", "", Execution(2, 2)),
        ("<intraop-threads>3</intraop-threads>", "", Execution(3, 2)),
        ("<intraop-threads>0</intraop-threads>", "", Execution(8, 2)),
        ("<intraop-threads>-3</intraop-threads>", "", Execution(3, 2)),
        ("<intraop-threads>-16</intraop-threads>", "", Execution(1, 2)),
        ("", "[runtime]\nthreads = 5\n", Execution(5, 2)),
        ("<intraop-threads>1</intraop-threads>", "[runtime]\nthreads = 5\n", Execution(1, 2)),
        (
            "<execution-mode>parallel</execution-mode><interop-threads>4</interop-threads>",
            "",
            Execution(2, 4, parallel=True),
        ),
    ],
)
def test_threads_are_those_asked_for_else_a_quarter_of_the_processors(
    tmp_path: Path,
    asked: list[dict[str, Any]],
    options: str,
    settings: str,
    expected: Execution,
) -> None:
    models = models_with(tmp_path, options, settings=settings)
    result = models.evaluator_of("t").bind("input", [[1, 2]]).evaluate()
    np.testing.assert_array_equal(result.array, embedding_table()[[[1, 2]]])
    assert [call["execution"] for call in asked] == [expected]


def test_a_gpu_that_is_not_there_is_refused_when_the_package_opens(tmp_path: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(ModelError, match="model 't' asks for a GPU.*no CUDA.*gpu-device"):
        models_with(tmp_path, "<gpu-device>0</gpu-device>")


def test_a_gpu_that_cannot_be_used_is_refused_when_the_model_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    known = [*onnxruntime.get_available_providers(), "CUDAExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: known)

    class OnProcessor:
        def __init__(self, source: Any, options: Any, providers: list[Any]) -> None:
            assert providers[0] == ("CUDAExecutionProvider", {"device_id": "1"})

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(onnxruntime, "InferenceSession", OnProcessor)
    models = models_with(tmp_path, "<gpu-device>1</gpu-device>")
    with pytest.raises(ModelError, match="GPU 1, which cannot be used"):
        models.load()


@needs_openvino
@pytest.mark.parametrize(
    ("execution", "message"),
    [
        (Execution(parallel=True), "no execution-mode parallel"),
        (Execution(gpu=0), "gpu-device is CUDA's"),
    ],
)
def test_what_openvino_cannot_do_is_refused(
    tmp_path: Path, execution: Execution, message: str
) -> None:
    path = write_transformer(tmp_path / "t.onnx")
    with pytest.raises(UsageError, match=message):
        open_session(path, runtime="openvino", execution=execution)


@needs_openvino
def test_openvino_runs_models_too(tmp_path: Path) -> None:
    settings = '[runtime]\nname = "openvino"\nprecision = "fp32"\n'
    models = models_with(tmp_path, "", settings=settings)
    output = models["t"].functions["output"]
    assert str(output.listed["onnxModel(t).output"]) == "tensor<float>(d0[],d1[],d2[16])"
    result = models.evaluator_of("t").bind("input", [[1, 2]]).evaluate()
    np.testing.assert_allclose(result.array, embedding_table()[[[1, 2]]], rtol=1e-6)


def test_a_parallel_session_gives_the_same(tmp_path: Path) -> None:
    path = write_transformer(tmp_path / "t.onnx")
    session = open_session(path, execution=Execution(2, 2, parallel=True))
    assert isinstance(session, OnnxSession)
    feeds = {"input": np.array([[5, 6]])}
    for found in (session.run(feeds), session.run_alone(feeds)):
        np.testing.assert_array_equal(found["output"], embedding_table()[[[5, 6]]])


def test_options_of_a_model_there_is_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="options of model 'tt'.*did you mean 't'"):
        models_with(tmp_path, "", name="tt")


def test_options_of_trees_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    models_with(tmp_path, "")
    (folder / "models" / "t.onnx").unlink()
    (folder / "models" / "t.json").write_bytes((GOLDEN / "xgboost_dump.json").read_bytes())
    package = read_package(folder)
    with pytest.raises(PackageError, match=r"ONNX options of model 't', which is 'models/t\.json'"):
        open_models(package, ModelFiles(package))


def test_no_threads_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="interop-threads must be at least 1, not 0"):
        Execution(1, 0)
    with pytest.raises(UsageError, match="threads must be at least 1, not 0"):
        open_session(write_transformer(tmp_path / "t.onnx"), threads=0)
