"""`<model-evaluation>` of services.xml: how each model is to be run."""

from __future__ import annotations

import pytest

from siftline.errors import PackageError
from siftline.schema.package import ModelOptions, Package
from siftline.schema.services import parse_services
from siftline.schema.write_services import format_services

ONNX = """<services version="1.0">
  <container id="default" version="1.0">
    <model-evaluation>
      <onnx><models>
        <model name="reader">
          <intraop-threads>4</intraop-threads>
          <interop-threads>2</interop-threads>
          <execution-mode>parallel</execution-mode>
          <gpu-device>0</gpu-device>
        </model>
        <model name="ranker"><intraop-threads>-8</intraop-threads></model>
        <model name="plain"><gpu-device>-1</gpu-device></model>
      </models></onnx>
    </model-evaluation>
  </container>
</services>
"""


def option(inner: str) -> str:
    model = f'<model name="m">{inner}</model>'
    return f"<container><model-evaluation><onnx><models>{model}</models></onnx></model-evaluation></container>"  # noqa: E501


def test_options_of_each_model() -> None:
    services = parse_services(ONNX)
    assert services.model_evaluation
    assert services.model_options == {
        "reader": ModelOptions(4, 2, parallel=True, gpu_device=0),
        "ranker": ModelOptions(-8),
        "plain": ModelOptions(),
    }
    place = services.model_options["ranker"].place
    assert place is not None
    assert place.line == 11


def test_no_options() -> None:
    bare = parse_services("<container><model-evaluation/></container>")
    assert bare.model_evaluation
    assert bare.model_options == {}
    assert not parse_services("<container><search/></container>").model_evaluation


def test_options_are_written_and_read_back() -> None:
    services = parse_services(ONNX)
    without_source = Package("p", {}, parse_services(ONNX.replace("<services", "<services ")))
    object.__setattr__(without_source.services, "source", None)
    written = format_services(without_source)
    assert "<execution-mode>parallel" in written
    assert parse_services(written) == services


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ("<intraop-threads>many</intraop-threads>", "intraop-threads.*many.*whole number"),
        ("<interop-threads>5000</interop-threads>", "5000"),
        ("<execution-mode>fast</execution-mode>", "sequential or parallel"),
        ("<gpu-device>-2</gpu-device>", "gpu-device"),
        ("<intraop-thread>2</intraop-thread>", "did you mean 'intraop-threads'"),
        ("<gpu-device>0</gpu-device><gpu-device>1</gpu-device>", "twice"),
    ],
)
def test_wrong_options_are_refused_with_their_place(inner: str, message: str) -> None:
    with pytest.raises(PackageError, match=message) as caught:
        parse_services(option(inner))
    assert caught.value.place is not None


def test_a_model_without_a_name_or_named_twice_is_refused() -> None:
    with pytest.raises(PackageError, match="needs the attribute 'name'"):
        parse_services(option("").replace(' name="m"', ""))
    twice = option("").replace("</models>", '<model name="m"/></models>')
    with pytest.raises(PackageError, match="two <model> elements"):
        parse_services(twice)
