"""Rename, concat, slice, cast, unpack and generate (spec 1.4, 2.8, Appendix A.12)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import UsageError
from siftline.tensor import reshape
from siftline.tensor.literal import parse_literal
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType
from tensor_strategies import flat, tensors


def tensor(type_: str, text: str) -> Tensor:
    return parse_literal(TensorType.parse(type_), text)


@given(tensors())
def test_rename_moves_every_cell(value: Tensor) -> None:
    names = [d.name for d in value.type.dimensions]
    new = [f"{'z' if name in 'ax' else 'k'}{name}" for name in names]
    got = reshape.rename(value, names, new)
    back = dict(zip(new, names, strict=True))
    cells = {frozenset((back[n], label) for n, label in a): c for a, c in flat(got).items()}
    assert cells == flat(value)
    assert reshape.rename(got, new, names) == value


def test_rename_swaps_two_dimensions() -> None:
    value = tensor("tensor(x[2],y[2])", "[[1,2],[3,4]]")
    assert reshape.rename(value, ["x", "y"], ["y", "x"]).array.tolist() == [[1, 3], [2, 4]]


@given(st.data())
def test_slice_takes_the_cells_at_a_label(data: st.DataObject) -> None:
    value = data.draw(tensors())
    labels = {"a": "a", "b": "7", "x": "0", "y": "0"}
    names = [d.name for d in value.type.dimensions]
    taken = data.draw(st.lists(st.sampled_from(names), unique=True)) if names else []
    address: dict[str, str | int] = {name: labels[name] for name in taken}
    got = flat(reshape.slice_(value, address))
    want = {
        frozenset(p for p in key if p[0] not in taken): cell
        for key, cell in flat(value).items()
        if all((name, labels[name]) in key for name in taken)
    }
    assert {k: c for k, c in got.items() if c} == {k: c for k, c in want.items() if c}


def test_a_missing_label_is_zero_and_an_index_is_checked() -> None:
    mixed = tensor("tensor<float>(k{},x[2])", "{a:[1,2]}")
    assert reshape.slice_(mixed, {"k": "no"}).array.tolist() == [0.0, 0.0]
    assert float(reshape.slice_(mixed, {"k": "a", "x": "1"})) == 2.0
    assert str(reshape.slice_(mixed, {"k": "a", "x": "1"}).type) == "tensor()"
    assert float(reshape.slice_(tensor("tensor(x[2])", "[5,6]"), {"x": 2})) == 0.0
    with pytest.raises(UsageError, match="no index '2'"):
        reshape.slice_(mixed, {"x": "2"})
    with pytest.raises(UsageError, match="no dimension 'y'"):
        reshape.slice_(mixed, {"y": "2"})


def test_concat_along_a_dimension_that_one_side_lacks() -> None:
    long, short = tensor("tensor<float>(x[2])", "[1,2]"), Tensor.scalar(3.0)
    got = reshape.concat(long, short, "x")
    assert (str(got.type), got.array.tolist()) == ("tensor<float>(x[3])", [1, 2, 3])
    both = reshape.concat(long, tensor("tensor<float>(x[2])", "[8,9]"), "y")
    assert (str(both.type), both.array.tolist()) == (
        "tensor<float>(x[2],y[2])",
        [[1, 8], [2, 9]],
    )
    assert str(reshape.concat(Tensor.scalar(1), Tensor.scalar(2), "x").type) == "tensor(x[2])"


def test_concat_keeps_equal_small_cell_types() -> None:
    bits = tensor("tensor<int8>(x[1])", "[1]")
    assert str(reshape.concat(bits, bits, "x").type) == "tensor<int8>(x[2])"
    real = tensor("tensor<bfloat16>(x[1])", "[1]")
    assert str(reshape.concat(bits, real, "x").type) == "tensor<float>(x[2])"
    with pytest.raises(UsageError, match="mapped dimension"):
        reshape.concat(tensor("tensor(k{})", "{a:1}"), bits, "k")


def test_concat_of_mixed_tensors_joins_labels() -> None:
    left = tensor("tensor(k{},x[1])", "{a:[1],b:[2]}")
    right = tensor("tensor(k{},x[1])", "{b:[3],c:[4]}")
    got = reshape.concat(left, right, "x")
    assert got.labels == (("b",),)
    assert got.cells.tolist() == [[2.0, 3.0]]


def test_unpack_bits_has_the_top_bit_first() -> None:
    nine = tensor("tensor<int8>(x[1])", "[9]")
    got = reshape.unpack_bits(nine)
    assert (str(got.type), got.array.tolist()) == ("tensor<float>(x[8])", [0, 0, 0, 0, 1, 0, 0, 1])
    little = reshape.unpack_bits(nine, "int8", big=False)
    assert (str(little.type), little.array.tolist()) == (
        "tensor<int8>(x[8])",
        [1, 0, 0, 1, 0, 0, 0, 0],
    )
    with pytest.raises(UsageError, match="unpack_bits needs int8"):
        reshape.unpack_bits(tensor("tensor(x[1])", "[9]"))


def test_cell_cast_rounds_and_keeps_scalars_double() -> None:
    value = tensor("tensor(x[4])", "[1.00390625,300,-300,2.9]")
    assert reshape.cell_cast(value, "int8").array.tolist() == [1, 127, -128, 2]
    assert reshape.cell_cast(value, "bfloat16").array.tolist()[0] == 1.0
    assert str(reshape.cell_cast(Tensor.scalar(1.5), "int8").type) == "tensor()"
    with pytest.raises(UsageError, match="unknown cell type 'half'"):
        reshape.cell_cast(value, "half")


def test_generate_calls_with_index_arrays() -> None:
    got = reshape.generate(TensorType.parse("tensor(x[2],y[3])"), lambda x, y: 10 * x + y)
    assert got.array.tolist() == [[0, 1, 2], [10, 11, 12]]
    assert reshape.generate(
        TensorType.parse("tensor<int8>(x[2])"), lambda x: np.array(7.0)
    ).array.tolist() == [7, 7]
    with pytest.raises(UsageError, match="indexed dimensions only"):
        reshape.generate(TensorType.parse("tensor(k{})"), lambda k: k)


def test_expand_adds_a_dimension_of_one() -> None:
    got = reshape.expand(tensor("tensor<float>(x[2])", "[1,2]"), "d")
    assert (str(got.type), got.array.tolist()) == ("tensor<float>(d[1],x[2])", [[1.0, 2.0]])
    with pytest.raises(UsageError, match="already has"):
        reshape.expand(got, "d")
