"""A rank profile made ready to run: its expressions parsed, checked and compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from siftline.errors import PackageError, Place, UsageError
from siftline.rank.compile import Program, compile_expression
from siftline.rank.expression import parse_expression
from siftline.rank.features.names import argument_text, canonical
from siftline.rank.features.onnx import BoundModel
from siftline.rank.features.ranks import NORMALIZERS, PHASES, VOLATILE
from siftline.rank.features.registry import FEATURES, find_feature
from siftline.rank.features.scope import Scope
from siftline.rank.features.tokens import TOKEN_FEATURES, TokenRequest, shared_sequence
from siftline.rank.models import OnnxModels, check_inputs, legal_name, output_name
from siftline.rank.nodes import Node, Reference, free_references
from siftline.rank.references import inline_calls, rewrite
from siftline.rank.result_type import result_type
from siftline.schema.definition import Constant, Expression, OnnxModel, Phase, RankProfile, Schema
from siftline.tensor.types import TensorType

#: keep-rank-count of the first phase and rerank-count of the others where the profile has none.
KEEP_COUNT, RERANK_COUNT = 10_000, 100

#: Features whose arguments are references themselves.
_NESTING = NORMALIZERS | frozenset(TOKEN_FEATURES)

_MODEL_FEATURES = ("onnx", "onnxModel")


@dataclass(frozen=True, slots=True, eq=False)
class PhasePlan:
    """One phase: how many hits it ranks (the first: keeps) and the score up to which they drop."""

    name: str
    program: Program
    count: int
    drop_limit: float | None
    place: Place | None


@dataclass(frozen=True, slots=True, eq=False)
class ListedFeature:
    """A feature of match-features or summary-features under the name the result shows."""

    name: str
    program: Program


@dataclass(frozen=True, eq=False)
class Plan:
    """A rank profile ready to run on any snapshot and query.

    functions: those without parameters. volatile: names whose value depends on the phase or on its
    other hits. late: names that depend on what the second phase did. models: as the profile's
    expressions use them.
    """

    scope: Scope
    functions: Mapping[str, Program]
    constants: Mapping[str, Constant]
    first: PhasePlan
    second: PhasePlan | None
    global_: PhasePlan | None
    match_features: tuple[ListedFeature, ...]
    summary_features: tuple[ListedFeature, ...]
    volatile: frozenset[str]
    late: frozenset[str]
    models: Mapping[str, BoundModel]
    onnx: OnnxModels

    @property
    def profile(self) -> RankProfile:
        """The profile as resolved."""
        return self.scope.profile


def make_plan(schema: Schema, profile: RankProfile, models: OnnxModels) -> Plan:
    """The plan of a resolved profile; PackageError with the place of what is wrong."""
    return _Planner(Scope(schema, profile), models).plan()


def listed_feature(plan: Plan, text: str) -> ListedFeature:
    """A feature named by a query, to be listed with the match-features; PackageError if unknown."""
    planner = _Planner(plan.scope, plan.onnx)
    listed = planner.listed(Expression(text), "match")
    for name, output in planner.outputs_of(Expression(text)):
        if name not in plan.models or output not in plan.models[name].selectors:
            raise PackageError(
                f"'{text}' needs an output of onnx-model '{name}' that the rank profile"
                f" '{plan.profile.name}' does not use"
            )
    return listed


class _Planner:
    def __init__(self, scope: Scope, models: OnnxModels) -> None:
        self.scope = scope
        self.models = models
        self.nodes = {
            name: self._read(function.expression)
            for name, function in scope.functions.items()
            if not function.parameters
        }
        for function in scope.functions.values():
            if function.parameters:
                self._parse(function.expression)
        self._refuse_cycles()

    def plan(self) -> Plan:
        """Check everything and compile it."""
        for name, node in self.nodes.items():
            self._type(node, self.scope.functions[name].expression.place)
        profile = self.scope.profile
        first = self._phase("first-phase", profile.first_phase, Expression("nativeRank"))
        if first is None:
            raise PackageError(f"rank-profile '{profile.name}' has no first phase", profile.place)
        return Plan(
            scope=self.scope,
            functions={name: compile_expression(node) for name, node in self.nodes.items()},
            constants=self.scope.constants,
            first=first,
            second=self._phase("second-phase", profile.second_phase),
            global_=self._phase("global-phase", profile.global_phase),
            match_features=self._listed(profile.match_features, "match"),
            summary_features=self._listed(profile.summary_features, "summary"),
            volatile=self._users_of(VOLATILE),
            late=self._users_of({"secondPhase", "firstPhaseRank"}),
            models=self._bound_models(),
            onnx=self.models,
        )

    def listed(self, expression: Expression, phase: str) -> ListedFeature:
        """One feature of a list."""
        node = self._read(expression)
        self._check_phase(node, phase, expression.place)
        self._type(node, expression.place)
        written = self._parse(expression)
        name = canonical(written) if isinstance(written, Reference) else str(written)
        return ListedFeature(name, compile_expression(node))

    def _listed(
        self, expressions: tuple[Expression, ...] | None, phase: str
    ) -> tuple[ListedFeature, ...]:
        return tuple(self.listed(expression, phase) for expression in expressions or ())

    def _phase(
        self, name: str, phase: Phase | None, fallback: Expression | None = None
    ) -> PhasePlan | None:
        expression = phase.expression if phase and phase.expression else fallback
        if expression is None:
            return None
        node = self._read(expression)
        self._check_phase(node, name.partition("-")[0], expression.place)
        type_ = self._type(node, expression.place)
        if type_ is not None and type_.dimensions:
            raise PackageError(
                f"the {name} expression must be a number, but '{expression.text}' is a {type_}",
                expression.place,
            )
        default = KEEP_COUNT if name == "first-phase" else RERANK_COUNT
        count = phase.rerank_count if phase and phase.rerank_count is not None else default
        limit = phase.score_drop_limit if phase else None
        return PhasePlan(name, compile_expression(node), count, limit, expression.place)

    def _read(self, expression: Expression) -> Node:
        """The expression parsed, calls inlined, every reference checked."""
        return self._placed(
            expression.place,
            lambda: rewrite(
                inline_calls(self._parse(expression), self.scope.functions), self._check
            ),
        )

    def _parse(self, expression: Expression) -> Node:
        return parse_expression(expression.text, expression.place)

    def _placed(self, place: Place | None, read: Callable[[], Node]) -> Node:
        try:
            return read()
        except PackageError as error:
            if error.place is not None:
                raise
            raise PackageError(error.message, place) from None

    def _check(self, reference: Reference, dimension: bool = False) -> Reference:
        """The reference in the form that plans use; PackageError if it means nothing.

        dimension: it may be the name of a dimension instead.
        """
        name, functions = reference.name, self.scope.functions
        if name == "rankingExpression" and len(reference.arguments) == 1:
            return self._check(Reference(argument_text(reference.arguments[0])))
        if name in functions:
            if reference.arguments or reference.output:
                raise PackageError(f"function '{name}' takes no arguments: '{reference}'")
            if functions[name].parameters:
                raise PackageError(
                    f"function '{name}' needs its arguments"
                    f" ({', '.join(functions[name].parameters)})"
                )
            return reference
        if not reference.arguments and name in self.scope.constants:
            return Reference("constant", (Reference(name),))
        if dimension and name not in FEATURES:
            return reference
        if name in _NESTING:
            arguments = tuple(
                self._check(a) if isinstance(a, Reference) else a for a in reference.arguments
            )
            reference = replace(reference, arguments=arguments)
        find_feature(name, tuple(functions)).check(self.scope, reference)
        return reference

    def _type(self, node: Node, place: Place | None) -> TensorType | None:
        try:
            return result_type(node, self.scope, self.nodes)
        except (PackageError, UsageError) as error:
            raise PackageError(error.message, error.place or place) from None

    def _check_phase(self, node: Node, phase: str, place: Place | None) -> None:
        for name in self._reachable(node):
            allowed = PHASES.get(name)
            if allowed is not None and phase not in allowed and name not in self.nodes:
                where = " or ".join(sorted(allowed))
                raise PackageError(f"'{name}' can be used in {where} only, not in {phase}", place)

    def _reachable(self, node: Node) -> set[str]:
        """The names that an expression depends on, through functions and models."""
        return {reference.name for reference in self._reachable_references(node)}

    def _reachable_references(self, node: Node) -> Iterator[Reference]:
        seen: set[str] = set()
        waiting: list[Reference] = list(free_references(node))
        while waiting:
            reference = waiting.pop()
            name = canonical(reference)
            if name in seen:
                continue
            seen.add(name)
            yield reference
            waiting += self._needs(reference)

    def _needs(self, reference: Reference) -> list[Reference]:
        """The references that one reference depends on directly."""
        if reference.name in self.nodes:
            return list(free_references(self.nodes[reference.name]))
        if reference.name in _NESTING:
            return [a for a in reference.arguments if isinstance(a, Reference)]
        if reference.name in _MODEL_FEATURES:
            model = self.scope.models[argument_text(reference.arguments[0])]
            return [self._source(model, text) for text in model.inputs.values()]
        return []

    def _refuse_cycles(self) -> None:
        for name, node in self.nodes.items():
            for reference in free_references(node):
                reached = self._reachable(reference)
                if name in reached:
                    raise PackageError(
                        f"function '{name}' depends on itself through '{canonical(reference)}'",
                        self.scope.functions[name].expression.place,
                    )

    def _users_of(self, names: Iterable[str]) -> frozenset[str]:
        """The names, and those of functions and models that depend on one of them."""
        wanted = {name for name in names if name not in self.nodes}
        users = {name for name, node in self.nodes.items() if self._reachable(node) & wanted}
        for reference in self._onnx_references():
            if self._reachable(reference) & wanted:
                users.add(reference.name)
        return frozenset(wanted | users)

    def outputs_of(self, expression: Expression) -> list[tuple[str, str | None]]:
        """The models that an expression runs, each with the output it takes."""
        return [
            (argument_text(reference.arguments[0]), reference.output)
            for reference in self._reachable_references(self._read(expression))
            if reference.name in _MODEL_FEATURES
        ]

    def _onnx_references(self) -> list[Reference]:
        profile = self.scope.profile
        phases = (profile.first_phase, profile.second_phase, profile.global_phase)
        written = [phase.expression for phase in phases if phase and phase.expression]
        written += [*(profile.match_features or ()), *(profile.summary_features or ())]
        nodes = [self._read(expression) for expression in written]
        found = {
            canonical(reference): reference
            for node in [*nodes, *self.nodes.values()]
            for reference in self._reachable_references(node)
            if reference.name in _MODEL_FEATURES
        }
        return list(found.values())

    def _source(self, model: OnnxModel, text: str) -> Reference:
        node = self._read(Expression(text, model.place))
        if not isinstance(node, Reference):
            raise PackageError(
                f"the input of onnx-model '{model.name}' must be an attribute, a query input,"
                f" a constant or a function, not '{text}'",
                model.place,
            )
        return node

    def _bound_models(self) -> Mapping[str, BoundModel]:
        selectors: dict[str, set[str | None]] = {}
        for reference in self._onnx_references():
            name = argument_text(reference.arguments[0])
            selectors.setdefault(name, set()).add(reference.output)
        return {
            name: self._bind(self.scope.models[name], chosen) for name, chosen in selectors.items()
        }

    def _bind(self, model: OnnxModel, chosen: set[str | None]) -> BoundModel:
        inputs, outputs = self.models.ports(model)
        check_inputs(model, inputs)
        sources = {
            name: self._source(model, model.inputs.get(name, legal_name(name))) for name in inputs
        }
        selectors = {selector: output_name(model, outputs, selector) for selector in chosen}
        return BoundModel(
            name=model.name,
            sources=sources,
            tokens=self._token_requests(sources),
            outputs=tuple(dict.fromkeys(selectors.values())),
            selectors=selectors,
        )

    def _token_requests(
        self, sources: Mapping[str, Reference]
    ) -> Mapping[str, TokenRequest] | None:
        requests = {}
        for name, source in sources.items():
            node = self.nodes.get(source.name, source)
            if not isinstance(node, Reference) or node.name not in TOKEN_FEATURES:
                return None
            if node.name in self.nodes:
                return None
            requests[name] = TokenRequest.of(node)
        return requests if shared_sequence(list(requests.values())) else None
