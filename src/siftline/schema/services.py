"""Reads `services.xml`: text to Services (spec: Vespa services reference).

What concerns a cluster of machines (nodes, redundancy, tuning) is accepted and kept in `source`;
what needs Java is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from siftline.errors import PackageError, Place
from siftline.schema.elements import blank_elisions
from siftline.schema.files import read_text
from siftline.schema.nearest import nearest
from siftline.schema.package import Component, DocumentSelection, ModelReference, Services
from siftline.schema.read_chains import read_chains, read_document_chain, read_handlers
from siftline.schema.read_models import read_model_options
from siftline.schema.xml_tree import XmlElement, parse_xml

EMBEDDERS = (
    "hugging-face-embedder",
    "colbert-embedder",
    "splade-embedder",
    "bert-embedder",
    "hugging-face-tokenizer",
)
MODEL_ELEMENTS = ("transformer-model", "tokenizer-model", "tokenizer-vocab", "model")

#: children of <services> that say nothing to one machine
_ROOT = ("admin", "routing", "config", "legacy", "preprocess:properties", "preprocess:include")
_CONTAINER = (
    "search document-api document-processing model-evaluation component nodes http config"
    " accesslog access-log aliases documents filtering handler client server processing include"
    " zookeeper secret-store secrets clients resources inference preprocess:include"
).split()
_CONTENT = (
    "min-redundancy redundancy documents nodes group engine tuning search config dispatch"
    " resources coverage-policy preprocess:include"
).split()
_REFUSED_COMPONENTS = {
    "openai-embedder": "a remote embedder",
    "voyageai-embedder": "a remote embedder",
    "mistral-embedder": "a remote embedder",
}
_PROPERTY = re.compile(r"\$\{([\w.-]+)\}")


def parse_services(
    text: str,
    file: str | None = "services.xml",
    *,
    folder: Path | None = None,
    elisions: bool = False,
) -> Services:
    """The services written in `text`; PackageError with its place where it is wrong.

    A `<component>` or `<container>` may stand alone, as documentation prints it. folder: where
    `<preprocess:include>` finds its files. elisions: `...` says nothing.
    """
    shown = blank_elisions(text) if elisions else text
    root = _preprocess(parse_xml(shown, file), folder)
    _refuse_java(root)
    if root.tag == "component":
        component = _component(root)
        return Services({component.id: component}, source=text)
    if root.tag not in ("services", "container", "jdisc"):
        root.fail(f"<{root.tag}> is not the root of services.xml (expected <services>)")
    children = root.children if root.tag == "services" else [root]
    containers = [c for c in children if c.tag in ("container", "jdisc")]
    contents = [c for c in children if c.tag == "content"]
    for child in children:
        if child not in containers and child not in contents and child.tag not in _ROOT:
            raise _unknown(child, "services", ("container", "content", *_ROOT))
    if len(contents) > 1:
        contents[1].fail("several content clusters are not supported: one machine is one cluster")
    content = contents[0] if contents else None
    document_chains = read_chains(containers, "document")
    return Services(
        components=_components(containers),
        content_id=content.attributes.get("id", "content") if content else "content",
        documents=_documents(content) if content else (),
        selections=_selections(content) if content else {},
        threads_per_search=_threads(content) if content else 1,
        model_evaluation=any(c.find("model-evaluation") is not None for c in containers),
        model_options=read_model_options(containers),
        ignore_undefined_fields=any(map(_ignores_undefined, containers)),
        search_chains=read_chains(containers, "search"),
        document_chains=document_chains,
        document_chain=read_document_chain(content, document_chains),
        handlers=read_handlers(containers),
        source=text,
    )


def _unknown(element: XmlElement, where: str, known: tuple[str, ...]) -> PackageError:
    return PackageError(
        f"unknown element <{element.tag}> in <{where}>{nearest(element.tag, known)}", element.place
    )


def _refuse_java(root: XmlElement) -> None:
    for element in root.walk():
        for attribute in ("class", "bundle"):
            if attribute in element.attributes:
                name = element.attributes.get("class") or element.attributes.get("id", "")
                element.fail(
                    f"<{element.tag}> '{name}' is a Java component, which cannot run here; "
                    f"{_counterpart(element.tag)}"
                )
        if element.tag == "renderer":
            name = element.attributes.get("id", "")
            element.fail(f"<renderer> '{name}' is a Java component, which cannot run here")


def _counterpart(tag: str) -> str:
    """What to write instead of a Java class."""
    if tag in ("searcher", "documentprocessor", "handler"):
        return f'write it in Python: <{tag} id="module.Class"/> is a file in ext/components'
    return 'use a built-in type="…"'


def _components(containers: list[XmlElement]) -> Mapping[str, Component]:
    components: dict[str, Component] = {}
    for container in containers:
        for child in container.children:
            if child.tag not in _CONTAINER:
                raise _unknown(child, "container", tuple(_CONTAINER))
            if child.tag != "component":
                continue
            component = _component(child)
            if component.id in components:
                child.fail(
                    f"component '{component.id}' is defined twice "
                    f"(first at {components[component.id].place})"
                )
            components[component.id] = component
    return components


def _component(element: XmlElement) -> Component:
    id_ = element.attribute("id")
    type_ = element.attributes.get("type")
    if type_ is None:
        element.fail(
            f"component '{id_}' names no type (expected type=\"hugging-face-embedder\" or the like)"
        )
    if type_ not in EMBEDDERS:
        what = _REFUSED_COMPONENTS.get(type_)
        detail = f", {what}," if what else ""
        element.fail(
            f"component type '{type_}'{detail} is not supported{nearest(type_, EMBEDDERS)}"
        )
    models: dict[str, ModelReference] = {}
    parameters: dict[str, str] = {}
    for child in element.children:
        if child.tag in MODEL_ELEMENTS:
            if child.tag in models:
                child.fail(f"component '{id_}' names <{child.tag}> twice")
            models[child.tag] = _model(child)
        else:
            parameters.update(_parameters(child, ""))
    return Component(id_, type_, models, parameters, element.place)


def _model(element: XmlElement) -> ModelReference:
    known = ("path", "url", "model-id", "secret-ref", "language")
    for name in element.attributes:
        if name not in known:
            element.fail(f"unknown attribute '{name}' of <{element.tag}>{nearest(name, known)}")
    get = element.attributes.get
    reference = ModelReference(get("path"), get("url"), get("model-id"))
    if reference == ModelReference():
        element.fail(f'<{element.tag}> names no file (expected path="models/…", url or model-id)')
    return reference


def _parameters(element: XmlElement, path: str) -> Iterator[tuple[str, str]]:
    """Each leaf below an element by its path; attributes count as children."""
    path = f"{path}/{element.tag}" if path else element.tag
    if element.text or not (element.children or element.attributes):
        yield path, element.text
    for name, value in element.attributes.items():
        if element.children or not element.text:
            yield f"{path}/{name}", value
    for child in element.children:
        yield from _parameters(child, path)


def _documents(content: XmlElement) -> tuple[str, ...]:
    for child in content.children:
        if child.tag not in _CONTENT:
            raise _unknown(child, "content", tuple(_CONTENT))
    documents = content.find("documents")
    names: list[str] = []
    for child in documents.children if documents else ():
        if child.tag == "document-processing":
            continue
        if child.tag != "document":
            raise _unknown(child, "documents", ("document", "document-processing"))
        mode = child.attributes.get("mode", "index")
        if mode != "index":
            child.fail(f"document mode '{mode}' is not supported; use mode=\"index\"")
        names.append(child.attribute("type"))
    if documents is not None and documents.attributes.get("garbage-collection") == "true":
        documents.fail("garbage collection of documents is not supported; remove it")
    return tuple(names)


def _selections(content: XmlElement) -> Mapping[str, DocumentSelection]:
    """What the cluster takes of each type: the selection of all documents and the type's own."""
    documents = content.find("documents")
    shared = documents.attributes.get("selection") if documents else None
    found = {}
    for child in documents.children if documents else ():
        own = child.attributes.get("selection") if child.tag == "document" else None
        texts = [text for text in (shared, own) if text is not None]
        if child.tag == "document" and texts:
            text = texts[0] if len(texts) == 1 else f"({shared}) and ({own})"
            found[child.attribute("type")] = DocumentSelection(text, child.place)
    return found


def _threads(content: XmlElement) -> int:
    found: XmlElement | None = content
    for tag in ("engine", "proton", "tuning", "searchnode", "requestthreads", "persearch"):
        found = found.find(tag) if found else None
    if found is None:
        return 1
    if not found.text.isdigit() or int(found.text) < 1:
        found.fail(f"<persearch> is '{found.text}', expected a whole number from 1")
    return int(found.text)


def _ignores_undefined(container: XmlElement) -> bool:
    """Whether the document API leaves out fields that the schema lacks."""
    api = container.find("document-api")
    found = api.find("ignore-undefined-fields") if api is not None else None
    if found is None:
        return False
    if found.text not in ("true", "false"):
        found.fail(f"<ignore-undefined-fields> is '{found.text}', expected true or false")
    return found.text == "true"


def _preprocess(root: XmlElement, folder: Path | None) -> XmlElement:
    """The tree with includes put in place and `${name}` properties filled in."""
    _include(root, folder, ())
    values: dict[str, str] = {}
    for element in root.walk():
        if element.tag == "preprocess:properties":
            values.update({child.tag: child.text for child in element.children})

    def fill(text: str, place: Place) -> str:
        for name in _PROPERTY.findall(text):
            if name not in values:
                raise PackageError(
                    f"property '${{{name}}}' is not defined{nearest(name, values)}", place
                )
        return _PROPERTY.sub(lambda found: values[found[1]], text)

    for element in root.walk():
        element.text = fill(element.text, element.place)
        element.attributes = {k: fill(v, element.place) for k, v in element.attributes.items()}
    return root


def _for_this_machine(element: XmlElement) -> bool:
    """Whether the variant is for environment prod and region default, which self-hosting is."""
    get = element.attributes.get
    environments = get("deploy:environment", "prod").split()
    return "prod" in environments and "default" in get("deploy:region", "default").split()


def _include(element: XmlElement, folder: Path | None, seen: tuple[Path, ...]) -> None:
    children: list[XmlElement] = []
    for child in element.children:
        if not _for_this_machine(child):
            continue
        if child.tag != "preprocess:include":
            _include(child, folder, seen)
            children.append(child)
            continue
        name = child.attribute("file")
        if folder is None:
            child.fail(f"included file '{name}' can only be read with its package")
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            child.fail(f"included file '{name}' lies outside the package")
        if path in seen:
            child.fail(f"included file '{name}' includes itself")
        included = parse_xml(read_text(path, child.place), name)
        _include(included, folder, (*seen, path))
        children.extend(included.children if included.tag == "services" else [included])
    element.children = children
