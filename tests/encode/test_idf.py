import json
import math
from pathlib import Path

import pytest

from siftline.encode.idf import IdfTable, TokenFrequencies, idf
from siftline.errors import ModelError


def test_the_formula_gives_the_published_msmarco_weights() -> None:
    # 8,841,823 passages; counts and weights as published for the English table
    assert idf(8_841_823, 91_728) == pytest.approx(4.568415641784668, abs=1e-6)
    assert idf(8_841_823, 27_505) == pytest.approx(5.772862434387207, abs=1e-6)
    assert idf(8_841_823, 554_110) == pytest.approx(2.7698843479156494, abs=1e-6)
    assert idf(8_841_823, 1) == pytest.approx(15.589538, abs=1e-6)
    assert idf(10, 10) == pytest.approx(math.log(11 / 10.5))


def test_table_of_a_corpus() -> None:
    table = IdfTable.from_frequencies(TokenFrequencies(3, {"a": 1, "b": 3, "gone": 0}))
    assert table.weight("a") == pytest.approx(math.log(4 / 1.5))
    assert table.weight("b") == pytest.approx(math.log(4 / 3.5))
    assert table.weight("gone") == 1.0 and table.weight("new") == 1.0
    assert dict(table.weights).keys() == {"a", "b"} and len(table.weights) == 2
    assert IdfTable.from_frequencies(TokenFrequencies(0), unknown=0.5).weight("a") == 0.5


def test_table_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "idf.json"
    path.write_text(json.dumps({"a": 2.5, "b": -1}))
    table = IdfTable.from_file(path, unknown=0.0)
    assert (table.weight("a"), table.weight("b"), table.weight("c")) == (2.5, 0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[1]", "not an IDF table"), ('{"a": "x"}', "'a'"), ('{"a": NaN}', "'a'"), ("{", "cannot")],
)
def test_files_that_are_no_table(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "idf.json"
    path.write_text(text)
    with pytest.raises(ModelError, match=message):
        IdfTable.from_file(path)
