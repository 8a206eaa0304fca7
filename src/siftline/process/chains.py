"""Everything of a package that is the user's code: its chains and handlers, made and ready."""

from __future__ import annotations

from collections.abc import Mapping

from siftline.errors import Place, QueryError
from siftline.match.query import Query
from siftline.process.components import Components, Kind, Part
from siftline.process.documents import DocumentChain, DocumentProcessor
from siftline.process.handlers import Binding, Handler, Handlers
from siftline.process.inject import Provided
from siftline.process.search import SearchChain, Searcher
from siftline.schema.chains import BUILT_IN, DEFAULT, Chain, ChainedComponent, resolve_chain
from siftline.schema.chains import Kind as ChainKind
from siftline.schema.nearest import nearest
from siftline.schema.package import Services

SEARCHER = Kind(Searcher, "search", ("query", "execution"))
PROCESSOR = Kind(DocumentProcessor, "process", ("operation",))
HANDLER = Kind(Handler, "handle", ("request",))


class Chains:
    """The chains and handlers of services.xml; PackageError where one cannot be made.

    documents: the processors that every operation passes, those of chain `default` and those of
    the chain that the content cluster names. handlers: by binding.
    """

    def __init__(self, services: Services, provided: Provided) -> None:
        self._components = Components(provided)
        self._parts: dict[int, Part] = {}
        try:
            self._search = self._search_chains(services.search_chains)
            self.documents = self._document_chain(services)
            self.handlers = self._handlers(services)
        except BaseException:
            self.close()
            raise

    def search_chain(self, query: Query) -> SearchChain:
        """The chain that a query's `searchChain` names, `default` else; QueryError if unknown."""
        name = query.parameters.get("searchChain") or DEFAULT
        if name not in self._search:
            raise QueryError(
                f"No search chain named '{name}' was found{nearest(str(name), self._search)}",
                Place(field="searchChain"),
            )
        return self._search[name]

    @property
    def searches(self) -> bool:
        """Whether there is a searcher at all."""
        return any(chain.parts for chain in self._search.values())

    def close(self) -> None:
        """Close every component and forget its code."""
        self._components.close()

    def _search_chains(self, chains: Mapping[str, Chain]) -> dict[str, SearchChain]:
        found = {name: SearchChain(name, ()) for name in (DEFAULT, *BUILT_IN["search"])}
        for name in chains:
            parts, ends = self._resolved(chains, name, "search", SEARCHER)
            found[name] = SearchChain(name, parts, ends=ends)
        return found

    def _document_chain(self, services: Services) -> DocumentChain:
        parts: list[Part] = []
        for name in services.document_chains:
            # all of them are made, so that a broken one is found also where no document takes it
            own, _ = self._resolved(services.document_chains, name, "document", PROCESSOR)
            if name == DEFAULT:
                parts = own + parts
            elif name == services.document_chain:
                parts = parts + own
        return DocumentChain(parts)

    def _resolved(
        self, chains: Mapping[str, Chain], name: str, kind: ChainKind, what: Kind
    ) -> tuple[list[Part], bool]:
        resolved = resolve_chain(chains, name, kind)
        return [self._part(component, what) for component in resolved.components], resolved.ends

    def _part(self, component: ChainedComponent, kind: Kind) -> Part:
        """The one object of a component, however many chains it is in."""
        if id(component) not in self._parts:
            self._parts[id(component)] = self._components.make(
                component.id, kind, component.config, component.place
            )
        return self._parts[id(component)]

    def _handlers(self, services: Services) -> Handlers:
        bound: list[tuple[Binding, Part]] = []
        for handler in services.handlers.values():
            part = self._components.make(handler.id, HANDLER, handler.config, handler.place)
            bound += [(Binding.parse(text, handler.place), part) for text in handler.bindings]
        return Handlers(bound)
