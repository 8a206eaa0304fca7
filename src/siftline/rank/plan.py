"""A rank profile made ready to run: its expressions parsed, checked and compiled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from siftline.errors import PackageError, Place
from siftline.rank.compile import Program, compile_expression
from siftline.rank.features.names import argument_text, canonical
from siftline.rank.features.onnx import BoundModel
from siftline.rank.features.ranks import VOLATILE
from siftline.rank.features.scope import Scope
from siftline.rank.features.tokens import TOKEN_FEATURES, TokenRequest, shared_sequence
from siftline.rank.models import OnnxModels, check_inputs, legal_name, output_name
from siftline.rank.nodes import Reference
from siftline.rank.reader import MODEL_FEATURES, Reader
from siftline.schema.definition import Constant, Expression, OnnxModel, Phase, RankProfile, Schema

#: keep-rank-count of the first phase and rerank-count of the others where the profile has none.
KEEP_COUNT, RERANK_COUNT = 10_000, 100


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
        self.reader = Reader(scope)

    def plan(self) -> Plan:
        """Check everything and compile it."""
        for name, node in self.reader.nodes.items():
            self.reader.result_type(node, self.scope.functions[name].expression.place)
        profile = self.scope.profile
        first = self._phase("first-phase", profile.first_phase, Expression("nativeRank"))
        if first is None:
            raise PackageError(f"rank-profile '{profile.name}' has no first phase", profile.place)
        return Plan(
            scope=self.scope,
            functions={name: compile_expression(node) for name, node in self.reader.nodes.items()},
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
        node = self.reader.read(expression)
        self.reader.check_phase(node, phase, expression.place)
        self.reader.result_type(node, expression.place)
        written = self.reader.parse(expression)
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
        node = self.reader.read(expression)
        self.reader.check_phase(node, name.partition("-")[0], expression.place)
        type_ = self.reader.result_type(node, expression.place)
        if type_ is not None and type_.dimensions:
            raise PackageError(
                f"the {name} expression must be a number, but '{expression.text}' is a {type_}",
                expression.place,
            )
        default = KEEP_COUNT if name == "first-phase" else RERANK_COUNT
        count = phase.rerank_count if phase and phase.rerank_count is not None else default
        limit = phase.score_drop_limit if phase else None
        return PhasePlan(name, compile_expression(node), count, limit, expression.place)

    def _users_of(self, names: Iterable[str]) -> frozenset[str]:
        """The names, and those of functions and models that depend on one of them."""
        wanted = {name for name in names if name not in self.reader.nodes}
        users = {
            name for name, node in self.reader.nodes.items() if self.reader.reachable(node) & wanted
        }
        for reference in self._onnx_references():
            if self.reader.reachable(reference) & wanted:
                users.add(reference.name)
        return frozenset(wanted | users)

    def outputs_of(self, expression: Expression) -> list[tuple[str, str | None]]:
        """The models that an expression runs, each with the output it takes."""
        return [
            (argument_text(reference.arguments[0]), reference.output)
            for reference in self.reader.reachable_references(self.reader.read(expression))
            if reference.name in MODEL_FEATURES
        ]

    def _onnx_references(self) -> list[Reference]:
        profile = self.scope.profile
        phases = (profile.first_phase, profile.second_phase, profile.global_phase)
        written = [phase.expression for phase in phases if phase and phase.expression]
        written += [*(profile.match_features or ()), *(profile.summary_features or ())]
        nodes = [self.reader.read(expression) for expression in written]
        found = {
            canonical(reference): reference
            for node in [*nodes, *self.reader.nodes.values()]
            for reference in self.reader.reachable_references(node)
            if reference.name in MODEL_FEATURES
        }
        return list(found.values())

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
            name: self.reader.source(model, model.inputs.get(name, legal_name(name)))
            for name in inputs
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
            node = self.reader.nodes.get(source.name, source)
            if not isinstance(node, Reference) or node.name not in TOKEN_FEATURES:
                return None
            if node.name in self.reader.nodes:
                return None
            requests[name] = TokenRequest.of(node)
        return requests if shared_sequence(list(requests.values())) else None
