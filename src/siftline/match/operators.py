"""The tree of a YQL where clause, as nodes of the query."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from lark import Token, Tree

from siftline.errors import QueryError, UsageError
from siftline.feed.patterns import compiled
from siftline.match.annotations import Annotations, term_annotations
from siftline.match.literals import Literals, failure
from siftline.match.query import (
    All,
    And,
    DotProduct,
    In,
    Near,
    NearestNeighbor,
    Node,
    Not,
    Nothing,
    Or,
    Phrase,
    Range,
    Rank,
    Regex,
    Term,
    Wand,
    WeakAnd,
    walk,
)
from siftline.match.simple import parse_user_query
from siftline.schema.nearest import nearest

#: Legal YQL operators that this engine does not have.
_REFUSED = frozenset(
    {
        "alternatives", "distance", "equiv", "fuzzy", "geoBoundingBox", "geoLocation", "labeled",
        "predicate", "prefix", "sameElement", "substring", "suffix", "text", "uri", "weightedSet",
    }
)  # fmt: skip

_EXPRESSIONS = frozenset(
    {
        "or_", "and_", "not_", "annotated", "true_", "false_", "call", "compare", "contains",
        "matches", "in_", "element",
    }
)  # fmt: skip

_WORD_OPERATORS = ("phrase", "near", "onear")
_BOUNDS = ("closed", "open", "leftOpen", "rightOpen")

#: userInput's `grammar.composite` → query type
_COMPOSITES = {"and": "all", "or": "any", "weakAnd": "weakAnd", "phrase": "phrase"}

_Trees = Sequence[Tree[Token]]


class WhereBuilder:
    """Makes nodes of parse trees.

    fields: names that may stand before a colon in user text, None for any.
    """

    def __init__(self, literals: Literals, fields: Collection[str] | None = None) -> None:
        self.literals = literals
        self.fields = fields
        self.expressions: dict[str, Callable[[Tree[Token], Annotations], Node]] = {
            "or_": lambda tree, notes: self._junction(Or, tree, notes),
            "and_": lambda tree, notes: self._junction(And, tree, notes),
            "not_": lambda tree, notes: Not(self.build(_tree(tree.children[0]))),
            "annotated": self._annotated,
            "true_": lambda tree, notes: All(),
            "false_": lambda tree, notes: Nothing(),
            "compare": self._compare,
            "contains": lambda tree, notes: self._contained(
                str(tree.children[0]), _tree(tree.children[1]), notes
            ),
            "matches": self._matches,
            "in_": self._in,
            "element": self._element,
            "call": self._call,
        }
        self.calls: dict[str, Callable[[Token, _Trees, Annotations], Node]] = {
            "nearestNeighbor": self._nearest_neighbor,
            "weakAnd": self._weak_and,
            "wand": self._wand,
            "dotProduct": self._dot_product,
            "rank": self._rank,
            "range": self._range,
            "userQuery": self._user_query,
            "userInput": self._user_input,
            "nonEmpty": self._non_empty,
        }

    def build(self, tree: Tree[Token], annotations: Annotations | None = None) -> Node:
        """The node of an expression; `annotations` stand before it."""
        if tree.data not in _EXPRESSIONS:
            raise failure('an expression is expected here, like: field contains "word"', tree)
        return self.expressions[tree.data](tree, annotations or Annotations({}))

    def _junction(self, kind: type[And | Or], tree: Tree[Token], notes: Annotations) -> Node:
        children = [child for child in tree.children if isinstance(child, Tree)]
        if len(children) == 1:
            return self.build(children[0], notes)
        return kind(tuple(self.build(child) for child in children))

    def _annotated(self, tree: Tree[Token], notes: Annotations) -> Node:
        annotation, inner = (_tree(child) for child in tree.children)
        return self.build(inner, notes.joined(self.literals.annotations(annotation)))

    # field and operand

    def _compare(self, tree: Tree[Token], notes: Annotations) -> Node:
        field, relation, operand = tree.children
        number = self.literals.number(_literal(_tree(operand)), f"'{field} {relation}'")
        return comparison(str(field), str(relation), number)

    def _contained(self, field: str, operand: Tree[Token], notes: Annotations) -> Node:
        for child in operand.children[:-1]:
            notes = notes.joined(self.literals.annotations(_tree(child)))
        inner = operand.children[-1]
        if isinstance(inner, Token):
            return Term(field, self.literals.text(inner), term_annotations(notes))
        if inner.data == "operand":
            return self._contained(field, inner, notes)
        return self._words(field, inner, notes)

    def _words(self, field: str, call: Tree[Token], notes: Annotations) -> Node:
        name, *arguments = call.children
        operator = str(name)
        if operator not in _WORD_OPERATORS:
            raise _unknown_operator(_token(name), _WORD_OPERATORS)
        words = tuple(self._word(_tree(part)) for part in arguments if part is not None)
        if not words:
            raise failure(f"{operator}() needs at least one word", call)
        term = term_annotations(notes)
        if operator == "phrase":
            return Phrase(field, words, term)
        return Near(field, words, notes.integer("distance", 2), operator == "onear", term)

    def _word(self, tree: Tree[Token]) -> str:
        if tree.data == "excluded":
            raise failure("near() with an excluded word is not supported", tree)
        if tree.data == "annotated_text":
            return self._word(_tree(tree.children[-1]))
        if tree.data not in ("string", "parameter"):
            raise failure("a quoted word is expected here", tree)
        return self.literals.text(_token(tree.children[0]))

    def _matches(self, tree: Tree[Token], notes: Annotations) -> Node:
        token = _literal(_tree(tree.children[1]))
        expression = self.literals.text(token)
        try:
            compiled(expression, ignore_case=True)
        except UsageError as error:
            raise failure(str(error), token) from None
        return Regex(str(tree.children[0]), expression)

    def _in(self, tree: Tree[Token], notes: Annotations) -> Node:
        field, members = tree.children
        values: list[int | str] = []
        for member in _tree(members).children:
            token = member if isinstance(member, Token) else _token(_tree(member).children[0])
            values += self.literals.members(token)
        return In(str(field), tuple(values))

    def _element(self, tree: Tree[Token], notes: Annotations) -> Node:
        raise failure(
            f"matching one element of '{tree.children[0]}' (sameElement) is not supported", tree
        )

    # operators

    def _call(self, tree: Tree[Token], notes: Annotations) -> Node:
        name, *arguments = tree.children
        operator = self.calls.get(str(name))
        if operator is None:
            raise _unknown_operator(_token(name), self.calls)
        return operator(_token(name), [_tree(a) for a in arguments if a is not None], notes)

    def _name(self, tree: Tree[Token]) -> str:
        if tree.data not in ("name", "string", "parameter"):
            raise failure("a name is expected here", tree)
        token = _token(tree.children[0])
        return str(token) if tree.data == "name" else self.literals.text(token)

    def _nearest_neighbor(self, name: Token, arguments: _Trees, notes: Annotations) -> Node:
        field, query = _exactly(name, arguments, ("field", "query tensor"))
        target = notes.target_hits(None)
        if target is None:
            raise failure(
                "Required annotation 'targetHits' is missing from nearestNeighbor "
                "(write {targetHits:100}nearestNeighbor(…))",
                name,
            )
        return NearestNeighbor(
            self._name(field),
            self._name(query),
            target,
            approximate=notes.flag("approximate", None),
            explore=notes.integer("hnsw.exploreAdditionalHits", 0),
            distance_threshold=notes.number("distanceThreshold", None),
            label=notes.text("label"),
            settings=notes.graph_settings(),
        )

    def _weak_and(self, name: Token, arguments: _Trees, notes: Annotations) -> Node:
        if not arguments:
            raise failure("weakAnd() needs at least one operand", name)
        return WeakAnd(
            tuple(self.build(part) for part in arguments), notes.target_hits(None) or 100
        )

    def _wand(self, name: Token, arguments: _Trees, notes: Annotations) -> Node:
        field, weights = _exactly(name, arguments, ("field", "weights"))
        return Wand(
            self._name(field),
            self.literals.weights(weights),
            notes.target_hits(None) or 10,
            notes.number("scoreThreshold", None) or 0.0,
            notes.text("label"),
        )

    def _dot_product(self, name: Token, arguments: _Trees, notes: Annotations) -> Node:
        field, weights = _exactly(name, arguments, ("field", "weights"))
        return DotProduct(self._name(field), self.literals.weights(weights), notes.text("label"))

    def _rank(self, name: Token, arguments: _Trees, notes: Annotations) -> Node:
        if not arguments:
            raise failure("rank() needs at least one operand", name)
        first, *others = (self.build(part) for part in arguments)
        return Rank(first, tuple(others)) if others else first

    def _range(self, name: Token, arguments: _Trees, notes: Annotations) -> Node:
        field, low, high = _exactly(name, arguments, ("field", "low", "high"))
        if notes.given("hitLimit"):
            raise failure("range() with hitLimit is not supported", name)
        bounds = notes.text("bounds") or "closed"
        if bounds not in _BOUNDS:
            raise failure(f"unknown bounds '{bounds}'{nearest(bounds, _BOUNDS)}", name)
        return Range(
            self._name(field),
            self._bound(low),
            self._bound(high),
            low_open=bounds in ("open", "leftOpen"),
            high_open=bounds in ("open", "rightOpen"),
        )

    def _bound(self, tree: Tree[Token]) -> float:
        if tree.data not in ("number", "parameter"):
            raise failure("a number is expected here", tree)
        return self.literals.number(_token(tree.children[0]), "range()")

    def _non_empty(self, name: Token, arguments: _Trees, notes: Annotations) -> Node:
        (argument,) = _exactly(name, arguments, ("expression",))
        node = self.build(argument, notes)
        for part in walk(node):
            if isinstance(part, Nothing) or (isinstance(part, Term) and not part.text.strip()):
                raise failure("nonEmpty() holds an empty part", name)
        return node

    # user text

    def _user_query(self, name: Token, arguments: _Trees, notes: Annotations) -> Node:
        parameters = self.literals.parameters
        text = str(parameters.get("model.queryString") or "")
        if not text.strip():
            raise failure("User query must be set (parameter 'query') for userQuery()", name)
        type_ = str(parameters.get("model.type") or "weakAnd")
        default = str(parameters.get("model.defaultIndex") or "default")
        node = parse_user_query(text, type_, default, self.fields)
        return with_target(node, notes.target_hits(None))

    def _user_input(self, name: Token, arguments: _Trees, notes: Annotations) -> Node:
        (argument,) = _exactly(name, arguments, ("text",))
        if argument.data not in ("parameter", "string"):
            raise failure("userInput() takes @parameter or a string", argument)
        token = _token(argument.children[0])
        if token.type == "PARAMETER" and self.literals.parameters.get(str(token)[1:]) is None:
            raise failure(f"Input '{str(token)[1:]}' is not set", token)
        text = self.literals.text(token)
        if not text.strip() and notes.flag("allowEmpty", False):
            return Nothing()
        node = self._parsed_input(text, notes, token)
        if isinstance(node, Nothing):
            raise failure(f"Parsing '{text}' only resulted in NullItem.", token)
        return with_target(node, notes.target_hits(None))

    def _parsed_input(self, text: str, notes: Annotations, token: Token) -> Node:
        field = notes.text("defaultIndex") or "default"
        grammar = notes.text("grammar") or "weakAnd"
        if grammar in ("raw", "segment"):
            return Term(field, text, term_annotations(notes))
        composite = notes.text("grammar.composite")
        if composite is not None:
            if composite not in _COMPOSITES:
                hint = nearest(composite, _COMPOSITES)
                raise failure(f"grammar.composite '{composite}' is not supported{hint}", token)
            grammar = _COMPOSITES[composite]
        plain = notes.text("grammar.syntax") == "none"
        if plain or notes.text("grammar.tokenization") == "linguistics":
            return _recombined(parse_user_query(text, "tokenize", field), grammar)
        return parse_user_query(text, grammar, field, self.fields)


def comparison(field: str, relation: str, number: float) -> Range:
    """The interval that `field relation number` means; relation is = < <= > or >=."""
    if relation == "=":
        return Range(field, number, number)
    if relation.startswith("<"):
        return Range(field, -math.inf, number, high_open=relation == "<")
    return Range(field, number, math.inf, low_open=relation == ">")


def with_target(node: Node, target_hits: int | None) -> Node:
    """The node with its weakAnd's target replaced, where one is given."""
    if target_hits is None:
        return node
    if isinstance(node, WeakAnd):
        return replace(node, target_hits=target_hits)
    if isinstance(node, And):
        return And(tuple(with_target(child, target_hits) for child in node.children))
    return node


def _recombined(node: Node, grammar: str) -> Node:
    """The words of a weakAnd joined as another grammar joins them."""
    if not isinstance(node, WeakAnd) or grammar == "weakAnd":
        return node
    terms = [child for child in node.children if isinstance(child, Term)]
    if len(terms) == 1:
        return terms[0]
    if grammar == "phrase":
        return Phrase(terms[0].field, tuple(term.text for term in terms))
    return Or(node.children) if grammar == "any" else And(node.children)


def _exactly(name: Token, arguments: _Trees, what: tuple[str, ...]) -> _Trees:
    if len(arguments) != len(what):
        raise failure(
            f"{name}() takes {len(what)} arguments ({', '.join(what)}), not {len(arguments)}", name
        )
    return arguments


def _unknown_operator(name: Token, known: Collection[str]) -> QueryError:
    if str(name) in _REFUSED:
        return failure(f"the operator {name}() is not supported", name)
    return failure(f"there is no operator {name}(){nearest(str(name), known)}", name)


def _literal(operand: Tree[Token]) -> Token:
    inner: Any = operand.children[-1]
    if isinstance(inner, Token):
        return inner
    if inner.data == "operand":
        return _literal(inner)
    raise failure("a literal is expected here", inner)


def _tree(part: Any) -> Tree[Token]:
    if not isinstance(part, Tree):
        raise failure("an expression is expected here", part)
    return part


def _token(part: Any) -> Token:
    if not isinstance(part, Token):
        raise failure("a literal is expected here", part)
    return part
