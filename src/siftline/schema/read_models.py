"""Reads `<model-evaluation>` of services.xml: how each model is to be run (spec 6.1)."""

from __future__ import annotations

from collections.abc import Iterable

from siftline.schema.nearest import nearest
from siftline.schema.package import ModelOptions
from siftline.schema.xml_tree import XmlElement

MODES = ("sequential", "parallel")
_OPTIONS = ("intraop-threads", "interop-threads", "execution-mode", "gpu-device")


def read_model_options(containers: Iterable[XmlElement]) -> dict[str, ModelOptions]:
    """Options by the name of the model; PackageError where they are wrong."""
    found: dict[str, ModelOptions] = {}
    for container in containers:
        evaluation = container.find("model-evaluation")
        for onnx in _children(evaluation, ("onnx",)):
            for models in _children(onnx, ("models",)):
                for model in _children(models, ("model",)):
                    name = model.attribute("name")
                    if name in found:
                        model.fail(f"model '{name}' has two <model> elements")
                    found[name] = _options(model)
    return found


def _children(element: XmlElement | None, known: tuple[str, ...]) -> list[XmlElement]:
    for child in element.children if element else ():
        if child.tag not in known:
            child.fail(
                f"unknown element <{child.tag}> in <{element.tag if element else ''}>"
                f"{nearest(child.tag, known)}"
            )
    return element.children if element else []


def _options(model: XmlElement) -> ModelOptions:
    parts: dict[str, XmlElement] = {}
    for child in _children(model, _OPTIONS):
        if child.tag in parts:
            child.fail(f"<{child.tag}> is given twice")
        parts[child.tag] = child
    mode = parts.get("execution-mode")
    if mode is not None and mode.text not in MODES:
        mode.fail(f"<execution-mode> is '{mode.text}', expected {' or '.join(MODES)}")
    return ModelOptions(
        _whole(parts.get("intraop-threads")),
        _whole(parts.get("interop-threads")),
        mode is not None and mode.text == "parallel",
        _device(parts.get("gpu-device")),
        model.place,
    )


def _whole(element: XmlElement | None) -> int | None:
    if element is None:
        return None
    try:
        number = int(element.text)
    except ValueError:
        number = 1 << 20
    if abs(number) > 1024:
        element.fail(f"<{element.tag}> is '{element.text}', expected a whole number up to 1024")
    return number


def _device(element: XmlElement | None) -> int | None:
    """The GPU's number; -1 is none, as is no element."""
    number = _whole(element)
    if element is not None and number is not None and number < -1:
        element.fail(f"<gpu-device> is {number}, expected a number from 0, or -1 for none")
    return None if number == -1 else number
