"""The services of a package as services.xml."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from siftline.schema.package import Component, ModelOptions, Package, Services
from siftline.schema.services import parse_services
from siftline.schema.write_chains import write_chains, write_handlers

#: elements whose parts are attributes, not children
_ATTRIBUTES = ("batching",)


def format_services(package: Package) -> str:
    """services.xml as it was read, where it says the same still; else written anew."""
    services = package.services
    source = services.source
    if source is not None and "preprocess:include" not in source and "<services" in source:
        if parse_services(source) == services:
            return source
    root = ET.Element("services", version="1.0")
    root.append(_container(services))
    if package.schemas or services.documents or services.document_chain:
        root.append(_content(services))
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode", short_empty_elements=True)
    return f'<?xml version="1.0" encoding="utf-8" ?>\n{text}\n'


def _container(services: Services) -> ET.Element:
    container = ET.Element("container", id="default", version="1.0")
    write_chains(ET.SubElement(container, "search"), "searcher", services.search_chains)
    documents = ET.SubElement(container, "document-api")
    if services.ignore_undefined_fields:
        ET.SubElement(documents, "ignore-undefined-fields").text = "true"
    processing = ET.SubElement(container, "document-processing")
    write_chains(processing, "documentprocessor", services.document_chains)
    write_handlers(container, services.handlers)
    if services.model_evaluation:
        _models(ET.SubElement(container, "model-evaluation"), services.model_options)
    for component in services.components.values():
        container.append(_component(component))
    return container


def _models(evaluation: ET.Element, models: Mapping[str, ModelOptions]) -> None:
    if not models:
        return
    parent = ET.SubElement(ET.SubElement(evaluation, "onnx"), "models")
    for name, options in models.items():
        values = {
            "intraop-threads": options.intraop_threads,
            "interop-threads": options.interop_threads,
            "execution-mode": "parallel" if options.parallel else None,
            "gpu-device": options.gpu_device,
        }
        model = ET.SubElement(parent, "model", name=name)
        for tag, value in values.items():
            if value is not None:
                ET.SubElement(model, tag).text = str(value)


def _component(component: Component) -> ET.Element:
    element = ET.Element("component", id=component.id, type=component.type)
    for tag, reference in component.models.items():
        attributes = {
            "path": reference.path,
            "url": reference.url,
            "model-id": reference.model_id,
        }
        ET.SubElement(element, tag, {k: v for k, v in attributes.items() if v is not None})
    _parameters(element, component.parameters)
    return element


def _parameters(element: ET.Element, parameters: Mapping[str, str]) -> None:
    for path, text in parameters.items():
        *parents, last = path.split("/")
        parent = element
        for tag in parents:
            found = parent.find(tag)
            parent = ET.SubElement(parent, tag) if found is None else found
        if parents and parents[-1] in _ATTRIBUTES:
            parent.set(last, text)
        else:
            ET.SubElement(parent, last).text = text


def _content(services: Services) -> ET.Element:
    content = ET.Element("content", id=services.content_id, version="1.0")
    ET.SubElement(content, "min-redundancy").text = "1"
    documents = ET.SubElement(content, "documents")
    for name in services.documents:
        document = ET.SubElement(documents, "document", type=name, mode="index")
        if name in services.selections:
            document.set("selection", services.selections[name].text)
    if services.components or services.document_chain:
        processing = ET.SubElement(documents, "document-processing", cluster="default")
        if services.document_chain:
            processing.set("chain", services.document_chain)
    nodes = ET.SubElement(content, "nodes")
    ET.SubElement(nodes, "node", {"hostalias": "node1", "distribution-key": "0"})
    if services.threads_per_search != 1:
        parent = content
        for tag in ("engine", "proton", "tuning", "searchnode", "requestthreads"):
            parent = ET.SubElement(parent, tag)
        ET.SubElement(parent, "persearch").text = str(services.threads_per_search)
    return content
