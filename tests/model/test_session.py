"""Sessions: both runtimes give the same numbers, and damaged files one clear error."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from small_models import bert_encoder, feeds, write_bert_onnx

from siftline.errors import ModelError, UsageError
from siftline.model.convert.heads import Head
from siftline.model.convert.quantize import quantize_file
from siftline.model.convert.reference import evaluate
from siftline.model.session import Runtime, open_session, require

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="openvino is not installed"
)
RUNTIMES = ["onnxruntime", pytest.param("openvino", marks=needs_openvino)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert_onnx(tmp_path_factory.mktemp("model") / "model.onnx")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_ports(model: Path, runtime: Runtime) -> None:
    session = open_session(model, runtime=runtime)
    assert [port.name for port in session.inputs] == [
        "input_ids",
        "attention_mask",
        "token_type_ids",
    ]
    assert {port.dtype for port in session.inputs} == {np.dtype(np.int64)}
    (output,) = session.outputs
    assert (output.name, output.dtype) == ("last_hidden_state", np.dtype(np.float32))
    assert output.shape[-1] == 16
    assert not isinstance(output.shape[0], int)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_numbers(model: Path, runtime: Runtime) -> None:
    session = open_session(model, runtime=runtime, threads=1, precision="fp32")
    inputs = feeds()
    output = session.run(inputs)["last_hidden_state"]
    expected = evaluate(bert_encoder(), Head("dense"), inputs)
    real = inputs["attention_mask"] > 0
    np.testing.assert_allclose(output[real], expected[real], atol=2e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_another_shape_on_the_same_session(model: Path, runtime: Runtime) -> None:
    session = open_session(model, runtime=runtime)
    for rows, length in ((1, 4), (5, 11), (1, 4)):
        output = session.run(feeds(rows, length), ["last_hidden_state"])["last_hidden_state"]
        assert output.shape == (rows, length, 16)


@needs_openvino
def test_runtime_names(model: Path) -> None:
    assert open_session(model).runtime == "onnxruntime"
    assert open_session(model, runtime="openvino", precision="fp32").runtime == "openvino fp32"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_int8_file_as_floats(tmp_path: Path, model: Path, runtime: Runtime) -> None:
    """Dequantised, the output of a row does not depend on what else is in the batch."""
    quantize_file(model, tmp_path / "int8.onnx")
    session = open_session(tmp_path / "int8.onnx", runtime=runtime, precision="fp32")
    inputs = feeds(3, 9)
    together = session.run(inputs)["last_hidden_state"]
    for row in range(3):
        length = 9 - row
        alone = session.run({k: v[row : row + 1, :length] for k, v in inputs.items()})
        np.testing.assert_allclose(alone["last_hidden_state"][0], together[row, :length], atol=3e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_integer_types_are_converted(model: Path, runtime: Runtime) -> None:
    session = open_session(model, runtime=runtime)
    wide = session.run(feeds())["last_hidden_state"]
    narrow = session.run({k: v.astype(np.int32) for k, v in feeds().items()})
    np.testing.assert_array_equal(narrow["last_hidden_state"], wide)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_results_of_earlier_runs_stay(model: Path, runtime: Runtime) -> None:
    session = open_session(model, runtime=runtime)
    first = session.run(feeds())["last_hidden_state"]
    kept = first.copy()
    inputs = feeds()
    inputs["input_ids"] = inputs["input_ids"][:, ::-1].copy()
    session.run(inputs)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_threads_share_a_session(model: Path, runtime: Runtime) -> None:
    session = open_session(model, runtime=runtime, threads=1)
    inputs = [feeds(1 + i % 3, 5 + i) for i in range(6)]
    expected = [session.run(one)["last_hidden_state"] for one in inputs]
    got: dict[int, np.ndarray] = {}

    def work(number: int) -> None:
        for _ in range(5):
            got[number] = session.run(inputs[number])["last_hidden_state"]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, output in got.items():
        np.testing.assert_allclose(output, expected[number], atol=1e-6)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("damage", ["truncated", "text", "empty"])
def test_a_damaged_file(tmp_path: Path, model: Path, runtime: Runtime, damage: str) -> None:
    content = {
        "truncated": model.read_bytes()[: model.stat().st_size // 2],
        "text": b"This is a README, not a model.\n" * 20,
        "empty": b"",
    }[damage]
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=str(path)) as caught:
        open_session(path, runtime=runtime)
    assert "\n" not in str(caught.value)


#: Opens two sessions in the main thread, drops the older first, and is interrupted.
INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from siftline.model.session import open_session

path = Path(sys.argv[1])
first, second = (open_session(path, runtime="openvino") for _ in range(2))
del first
del second
signal.signal(signal.SIGINT, lambda *_: print("interrupted"))
os.kill(os.getpid(), signal.SIGINT)
"""


@needs_openvino
def test_a_signal_after_sessions_are_gone(model: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model file"):
        open_session(tmp_path / "nothing.onnx")


def test_required_names(model: Path) -> None:
    session = open_session(model)
    require(session, inputs=["input_ids"], outputs=["last_hidden_state"])
    with pytest.raises(ModelError) as caught:
        require(session, inputs=["ids"])
    assert str(caught.value) == (
        "Model does not contain required input: 'ids'. "
        "Model contains: input_ids,attention_mask,token_type_ids"
    )
    with pytest.raises(ModelError) as caught:
        require(session, outputs=["logits"])
    assert str(caught.value) == (
        "Model does not contain required output: 'logits'. Model contains: last_hidden_state"
    )


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_wrong_feeds(model: Path, runtime: Runtime) -> None:
    session = open_session(model, runtime=runtime)
    inputs = feeds()
    with pytest.raises(ModelError, match="required input: 'ids'"):
        session.run({**inputs, "ids": inputs["input_ids"]})
    with pytest.raises(ModelError, match="required output: 'logits'"):
        session.run(inputs, ["logits"])
    with pytest.raises(ModelError, match="input 'token_type_ids' is missing"):
        session.run({k: v for k, v in inputs.items() if k != "token_type_ids"})
    with pytest.raises(ModelError, match="'input_ids' takes int64, not float64"):
        session.run({**inputs, "input_ids": inputs["input_ids"] * 1.0})
    with pytest.raises(ModelError, match="failed"):
        session.run({**inputs, "attention_mask": np.ones((3, 4), np.int64)})


def test_wrong_settings(model: Path) -> None:
    with pytest.raises(UsageError, match="unknown runtime 'torch'"):
        open_session(model, runtime="torch")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="unknown precision 'int4'"):
        open_session(model, precision="int4")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="threads must be at least 1"):
        open_session(model, threads=0)
    with pytest.raises(UsageError, match="needs the runtime openvino"):
        open_session(model, precision="bf16")
