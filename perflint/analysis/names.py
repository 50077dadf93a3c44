"""Scopes of one region: who binds a name, who reads it, and what an imported name stands for.

Python's own rules: a function's names are its own unless declared otherwise, class bodies are
invisible from the functions inside them, and the first iterable of a comprehension, decorators,
defaults and annotations belong to the scope around.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal
from weakref import ReferenceType

import libcst as cst

from perflint.analysis.facts import Facts
from perflint.analysis.tree import Comprehension, ScopeNode, Tree, children

ScopeKind = Literal["module", "function", "lambda", "class", "comprehension"]
BindingKind = Literal["assign", "augmented", "loop", "parameter", "import", "definition", "other", "delete"]


@dataclass(eq=False)
class Binding:
    """One place that binds a name. `value` is the expression assigned, where there is exactly one."""

    kind: BindingKind
    node: cst.CSTNode  # the statement, parameter, comprehension clause or walrus that binds
    value: cst.BaseExpression | None = None
    annotation: cst.Annotation | None = None
    qualified: str | None = None  # of an import


@dataclass(eq=False)
class Scope:
    """One function, lambda, class, comprehension, or the region's top."""

    kind: ScopeKind
    node: cst.CSTNode
    above: ReferenceType[Scope] | None  # weak: without a cycle a region's tree goes when it is done with
    children: list[Scope] = field(default_factory=list)
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    reads: dict[str, list[cst.Name]] = field(default_factory=dict)
    declared: dict[str, Literal["global", "nonlocal"]] = field(default_factory=dict)

    @property
    def parent(self) -> Scope | None:
        return self.above() if self.above else None

    def within(self) -> Iterator[Scope]:
        """All scopes nested in this one, at any depth."""
        for child in self.children:
            yield child
            yield from child.within()

    def owner(self, name: str) -> Scope | None:
        """The scope that `name` belongs to when used here; None for the module's names and builtins.

        The top scope of a region that is the whole module counts as the module: it is returned.
        """
        scope: Scope | None = self
        while scope is not None:
            declared = scope.declared.get(name)
            if declared == "global":
                return None
            if declared is None and name in scope.bindings and (scope is self or scope.kind != "class"):
                return scope
            scope = scope.parent
        return None

    def captures(self, name: str) -> list[Scope]:
        """The nested scopes that read or rebind this scope's `name`."""
        return [scope for scope in self._users.get(name, ()) if scope.owner(name) is self]

    @cached_property
    def _users(self) -> dict[str, list[Scope]]:
        """The nested scopes by the names that they read or declare; asked for when all are known."""
        users: dict[str, list[Scope]] = {}
        for scope in self.within():
            for name in scope.reads.keys() | scope.declared.keys():
                users.setdefault(name, []).append(scope)
        return users


class Names:
    """The scopes of a region, found by one walk."""

    def __init__(self, tree: Tree, facts: Facts) -> None:
        self.tree = tree
        self.facts = facts
        self._scopes: dict[cst.CSTNode, Scope] = {}
        self._homes: dict[cst.CSTNode, Scope] = {}  # names evaluated outside the scope node around them
        whole = isinstance(tree.root, cst.Module)
        self.top = Scope("module", tree.root if whole else tree.module, None)
        self._scopes[self.top.node] = self.top
        _Builder(self).run()

    def scope(self, node: cst.CSTNode) -> Scope:
        """The scope in which `node` is evaluated (for a function or class: the one it is defined in)."""
        here: cst.CSTNode | None = node
        while here is not None:
            if here in self._homes:
                return self._homes[here]
            here = self.tree.parent(here)
            if here is not None and here in self._scopes:
                return self._scopes[here]
        return self.top

    def inside(self, node: cst.CSTNode) -> Scope:
        """The scope that a function, lambda, class, comprehension or module opens."""
        return self._scopes[node]

    def bindings(self, node: cst.CSTNode) -> list[Binding]:
        """What binds the name that `node` is; nothing for other nodes, and for names of outside the region."""
        owner = self.scope(node).owner(node.value) if isinstance(node, cst.Name) else None
        return owner.bindings[node.value] if owner is not None and isinstance(node, cst.Name) else []

    def assigned(self, node: cst.CSTNode) -> cst.BaseExpression | None:
        """The expression that a name stands for, where one assignment alone binds it."""
        bindings = self.bindings(node)
        return bindings[0].value if len(bindings) == 1 and bindings[0].kind == "assign" else None

    def qualified(self, node: cst.BaseExpression) -> str | None:
        """What a name or dotted name stands for, such as `functools.reduce` or `builtins.sum`.

        None where that is not certain: rebound, star-imported or shadowed names.
        """
        match node:
            case cst.Name(value=name):
                return self._qualified_name(name, self.scope(node))
            case cst.Attribute(value=value, attr=cst.Name(value=attribute)):
                base = self.qualified(value)
                return f"{base}.{attribute}" if base and not base.startswith("builtins.") else None
        return None

    def builtin(self, node: cst.BaseExpression) -> str | None:
        """The builtin that a name stands for, such as `sum`."""
        module, _, name = (self.qualified(node) or "").rpartition(".")
        return name if module == "builtins" else None

    def means_builtin(self, name: str, scope: Scope) -> bool:
        """Whether a builtin's name, written in this scope, means that builtin: for text that a fix adds."""
        return self._qualified_name(name, scope) == f"builtins.{name}"

    def free(self, name: str, scope: Scope) -> bool:
        """Whether a fix may bind the name in this scope: nothing in it or inside it uses it, nor does the module."""
        facts = self.facts
        if facts.star_import or name in facts.global_names or name in facts.bindings:
            return False
        used = (
            name in item.reads or name in item.bindings or name in item.declared
            for item in (scope, *scope.within())
        )
        return name not in facts.imports_anywhere and not any(used)

    def _qualified_name(self, name: str, scope: Scope) -> str | None:
        owner = scope.owner(name)
        if owner is not None and owner is not self.top:
            found = {binding.qualified for binding in owner.bindings[name]}
            return found.pop() if len(found) == 1 else None
        if name in self.facts.imports:
            return self.facts.imported(name)
        free = name not in self.facts.shadows and not self.facts.star_import
        return f"builtins.{name}" if free and hasattr(builtins, name) else None


class _Builder:
    """Visits every node once, with the scope it belongs to."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.stack: list[tuple[cst.CSTNode, Scope]] = []
        self.reaching: list[
            tuple[Scope, str, Binding]
        ] = []  # `nonlocal` bindings: their owner may come later

    def run(self) -> None:
        top = self.names.top
        root = self.names.tree.root
        self.stack = (
            [(child, top) for child in reversed(children(root))] if root is top.node else [(root, top)]
        )
        while self.stack:
            node, scope = self.stack.pop()
            handler = _HANDLERS.get(type(node), _Builder.descend)
            handler(self, node, scope)
        for scope, name, binding in self.reaching:
            self.bind_outward(scope, name, binding)

    def descend(self, node: cst.CSTNode, scope: Scope) -> None:
        self.stack.extend((child, scope) for child in reversed(children(node)))

    def push(self, scope: Scope, *nodes: cst.CSTNode | None) -> None:
        self.stack.extend((node, scope) for node in reversed(nodes) if node is not None)

    def outside(self, scope: Scope, *nodes: cst.CSTNode | None) -> None:
        """Parts of a scope node that are evaluated in the scope around it."""
        for node in nodes:
            if node is not None:
                self.names._homes[node] = scope
        self.push(scope, *nodes)

    def open(self, kind: ScopeKind, node: cst.CSTNode, parent: Scope) -> Scope:
        scope = Scope(kind, node, ReferenceType(parent))
        parent.children.append(scope)
        self.names._scopes[node] = scope
        return scope

    def bind(self, scope: Scope, name: str, binding: Binding) -> None:
        if scope.declared.get(name) == "nonlocal":
            self.reaching.append((scope, name, binding))
        else:
            scope.bindings.setdefault(name, []).append(binding)

    def bind_outward(self, scope: Scope, name: str, binding: Binding) -> None:
        outer = scope.parent
        while outer is not None and (outer.kind == "class" or name not in outer.bindings):
            outer = outer.parent
        (outer or scope).bindings.setdefault(name, []).append(binding)

    def bind_target(self, scope: Scope, target: cst.CSTNode, binding: Binding) -> None:
        match target:
            case cst.Name(value=name):
                self.bind(scope, name, binding)
            case cst.Tuple(elements=elements) | cst.List(elements=elements):
                for element in elements:
                    self.bind_target(scope, element.value, Binding(binding.kind, binding.node))
            case _:
                self.push(scope, target)  # `a.b`, `a[i]`, `*a`: their parts are read

    def name(self, node: cst.Name, scope: Scope) -> None:
        scope.reads.setdefault(node.value, []).append(node)

    def value(self, node: cst.Attribute | cst.Arg, scope: Scope) -> None:
        self.push(scope, node.value)

    def function(self, node: cst.FunctionDef, scope: Scope) -> None:
        self.bind(scope, node.name.value, Binding("definition", node))
        inner = self.open("function", node, scope)
        self.declare(inner, node.body)
        self.outside(scope, *node.decorators, node.returns)
        self.parameters(node.params, scope, inner)
        self.push(inner, node.body)

    def lambda_(self, node: cst.Lambda, scope: Scope) -> None:
        inner = self.open("lambda", node, scope)
        self.parameters(node.params, scope, inner)
        self.push(inner, node.body)

    def parameters(self, params: cst.Parameters, scope: Scope, inner: Scope) -> None:
        stars = [star for star in (params.star_arg, params.star_kwarg) if isinstance(star, cst.Param)]
        for param in (*params.posonly_params, *params.params, *params.kwonly_params):
            self.bind(inner, param.name.value, Binding("parameter", param, annotation=param.annotation))
            self.outside(scope, param.annotation, param.default)
        for star in stars:
            self.bind(inner, star.name.value, Binding("parameter", star))
            self.outside(scope, star.annotation)

    def class_(self, node: cst.ClassDef, scope: Scope) -> None:
        self.bind(scope, node.name.value, Binding("definition", node))
        inner = self.open("class", node, scope)
        self.declare(inner, node.body)
        self.outside(scope, *node.decorators, *node.bases, *node.keywords)
        self.push(inner, node.body)

    def comprehension(self, node: cst.BaseComp, scope: Scope) -> None:
        inner = self.open("comprehension", node, scope)
        first = node.for_in
        self.outside(scope, first.iter)
        clause: cst.CompFor | None = first
        while clause is not None:
            self.bind_target(inner, clause.target, Binding("loop", clause))
            self.push(inner, *clause.ifs, clause.inner_for_in.iter if clause.inner_for_in else None)
            clause = clause.inner_for_in
        self.push(inner, *(getattr(node, part, None) for part in ("elt", "key", "value")))

    def declare(self, scope: Scope, body: cst.CSTNode) -> None:
        """`global` and `nonlocal` hold for the whole scope, wherever they stand."""
        stack = [body] if any(map(self.names.tree.holds, (b"global", b"nonlocal"))) else []
        while stack:
            node = stack.pop()
            if isinstance(node, (cst.Global, cst.Nonlocal)):
                word: Literal["global", "nonlocal"] = "global" if isinstance(node, cst.Global) else "nonlocal"
                scope.declared.update({item.name.value: word for item in node.names})
            elif not isinstance(node, (*ScopeNode, cst.BaseExpression)):
                stack.extend(children(node))

    def assign(self, node: cst.Assign, scope: Scope) -> None:
        self.push(scope, node.value)
        for target in node.targets:
            for part, value in pairs(target.target, node.value):
                self.bind_target(scope, part, Binding("assign", node, value))

    def annotated(self, node: cst.AnnAssign, scope: Scope) -> None:
        self.push(scope, node.value, node.annotation)
        if node.value is not None or not isinstance(node.target, cst.Name):
            binding = Binding("assign", node, node.value, node.annotation)
            self.bind_target(scope, node.target, binding)

    def augmented(self, node: cst.AugAssign, scope: Scope) -> None:
        self.push(scope, node.value)
        if isinstance(node.target, cst.Name):
            self.name(node.target, scope)
        self.bind_target(scope, node.target, Binding("augmented", node, node.value))

    def walrus(self, node: cst.NamedExpr, scope: Scope) -> None:
        self.push(scope, node.value)
        while scope.kind == "comprehension" and scope.parent is not None:
            scope = scope.parent
        self.bind_target(scope, node.target, Binding("assign", node, node.value))

    def loop(self, node: cst.For, scope: Scope) -> None:
        self.push(scope, node.iter, node.body, node.orelse)
        self.bind_target(scope, node.target, Binding("loop", node))

    def with_item(self, node: cst.WithItem, scope: Scope) -> None:
        self.push(scope, node.item)
        if node.asname is not None:
            self.bind_target(scope, node.asname.name, Binding("other", node))

    def handler(self, node: cst.ExceptHandler | cst.ExceptStarHandler, scope: Scope) -> None:
        self.push(scope, node.type, node.body)
        if node.name is not None:
            self.bind_target(scope, node.name.name, Binding("other", node))

    def delete(self, node: cst.Del, scope: Scope) -> None:
        self.bind_target(scope, node.target, Binding("delete", node))

    def import_(self, node: cst.Import | cst.ImportFrom, scope: Scope) -> None:
        if isinstance(node.names, cst.ImportStar):
            return
        module = _module(node)
        for alias in node.names:
            name = _dotted(alias.name)
            local = _dotted(alias.asname.name) if alias.asname else name.partition(".")[0]
            target = name if alias.asname else local
            qualified = f"{module}.{name}" if module else target
            self.bind(scope, local, Binding("import", node, qualified=qualified))

    def pattern(self, node: cst.CSTNode, scope: Scope) -> None:
        """`case` patterns: captures bind, class names and values are read."""
        captured = node.rest if isinstance(node, cst.MatchMapping) else getattr(node, "name", None)
        if isinstance(captured, cst.Name):
            self.bind(scope, captured.value, Binding("other", node))
        self.push(scope, *(child for child in children(node) if child is not captured))

    def keyword_pattern(self, node: cst.MatchKeywordElement, scope: Scope) -> None:
        self.push(scope, node.pattern)

    def declaration(self, node: cst.CSTNode, scope: Scope) -> None:
        """`global` and `nonlocal`, already seen by `declare`."""


def pairs(
    target: cst.BaseExpression, value: cst.BaseExpression
) -> list[tuple[cst.BaseExpression, cst.BaseExpression]]:
    """Which target takes which value: `a, b = 1, 2` is two assignments."""
    match target, value:
        case cst.Tuple(elements=left), cst.Tuple(elements=right) if len(left) == len(right):
            if not any(isinstance(element, cst.StarredElement) for element in (*left, *right)):
                return [(one.value, other.value) for one, other in zip(left, right, strict=True)]
    return [(target, value)]


def _module(node: cst.Import | cst.ImportFrom) -> str:
    if isinstance(node, cst.Import):
        return ""
    name = _dotted(node.module) if node.module else ""
    return "." * len(node.relative) + name


def _dotted(node: cst.CSTNode) -> str:
    if isinstance(node, cst.Attribute):
        return f"{_dotted(node.value)}.{node.attr.value}"
    return node.value if isinstance(node, cst.Name) else ""


_HANDLERS: dict[type[cst.CSTNode], Callable[[_Builder, Any, Scope], None]] = {
    cst.Name: _Builder.name,
    **dict.fromkeys((cst.Attribute, cst.Arg), _Builder.value),
    cst.FunctionDef: _Builder.function,
    cst.Lambda: _Builder.lambda_,
    cst.ClassDef: _Builder.class_,
    **dict.fromkeys(Comprehension, _Builder.comprehension),
    cst.Assign: _Builder.assign,
    cst.AnnAssign: _Builder.annotated,
    cst.AugAssign: _Builder.augmented,
    cst.NamedExpr: _Builder.walrus,
    cst.For: _Builder.loop,
    cst.WithItem: _Builder.with_item,
    **dict.fromkeys((cst.ExceptHandler, cst.ExceptStarHandler), _Builder.handler),
    cst.Del: _Builder.delete,
    **dict.fromkeys((cst.Import, cst.ImportFrom), _Builder.import_),
    **dict.fromkeys((cst.MatchAs, cst.MatchStar, cst.MatchMapping), _Builder.pattern),
    cst.MatchKeywordElement: _Builder.keyword_pattern,
    **dict.fromkeys((cst.Global, cst.Nonlocal), _Builder.declaration),
}
