"""A package with an embedder so small that it is made on the spot: one vector for each word."""

from __future__ import annotations

from pathlib import Path

import numpy as np

WORDS = ("sun", "moon", "rain", "wind")

SERVICES = """<services version="1.0">
  <container id="default" version="1.0">
    <component id="small" type="hugging-face-embedder">
      <transformer-model path="models/m.onnx"/><tokenizer-model path="models/t.json"/>
    </component>
    <search/><document-api/>
  </container>
  <content id="sky" version="1.0">
    <documents><document type="sky" mode="index"/></documents>
  </content>
</services>
"""

SCHEMA = """schema sky {
  document sky {
    field text type string { indexing: summary | index }
  }
  field vec type tensor<float>(x[2]) {
    indexing: input text | embed small | attribute
  }
  rank-profile near {
    inputs { query(q) tensor<float>(x[2]) }
    first-phase { expression: sum(query(q) * attribute(vec)) }
    summary-features: attribute(vec)
  }
}
"""


def embedder_files(folder: Path, scale: float = 1.0) -> dict[str, str | bytes]:
    """The package's files; the vector of the word number n is [scale * n, 1]."""
    return {
        "services.xml": SERVICES,
        "schemas/sky.sd": SCHEMA,
        "models/m.onnx": _model(folder / "m.onnx", scale),
        "models/t.json": _tokenizer(),
    }


def _model(path: Path, scale: float) -> bytes:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    table = np.array([[scale * n, 1.0] for n in range(len(WORDS) + 1)], np.float32)
    ports = ("input_ids", "attention_mask", "token_type_ids")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])],
        "words",
        [helper.make_tensor_value_info(p, TensorProto.INT64, ["b", "n"]) for p in ports],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["b", "n", 2])],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, str(path))
    return path.read_bytes()


def _tokenizer() -> str:
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {"[UNK]": 0, **{word: n for n, word in enumerate(WORDS, 1)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return str(tokenizer.to_str())
