"""Which object a receiver is: the proof that `self._pool.submit` is an executor's and no namesake's.

A receiver is followed through one assignment in its scope, `self.x = Ctor()` anywhere in the class,
`with Ctor() as x`, and annotations. All assignments must agree, `None` apart; anything else is nobody's.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple, TypeGuard

import libcst as cst

from perflint.analysis import library
from perflint.analysis.names import Binding, Names, Scope
from perflint.analysis.outline import Definition, FunctionNode, Home, Outline, Store, is_none
from perflint.analysis.tree import Function, walk

_DEPTH = 12  # names that lead to names; deeper chains are unknown
_CALLABLES = library.makers(frozenset(kind for kind, method in library.METHODS if method == "__call__"))
_STEPS = 500  # names looked at for one answer: names may rest on one another in circles
_OPTIONAL = {"typing.Optional", "Optional"}
_TRANSPARENT = {"typing.Annotated", "typing.Final", "typing.ClassVar", "Final", "ClassVar", "Annotated"}


class Made(NamedTuple):
    """An object whose type is known. `calls` are the constructor calls that make it, where in sight."""

    type: str  # such as `queue.Queue`; see `library`
    calls: tuple[ast.Call, ...] = ()
    subclass: ast.ClassDef | None = None  # the file's own class, derived from `type`

    def argument(self, name: str, position: int | None = None) -> list[ast.expr | None]:
        """What each constructor call passes for a parameter; None where a call leaves it out."""
        return [argument(call, name, position) for call in self.calls]


def argument(call: ast.Call, name: str, position: int | None = None) -> ast.expr | None:
    """The expression passed for a parameter, by keyword or position; None where it is left out.

    A call with `*args` or `**kwargs` may pass it: the starred expression is returned then.
    """
    for keyword in call.keywords:
        if keyword.arg in (name, None):
            return keyword.value
    for index, item in enumerate(call.args):
        if isinstance(item, ast.Starred) or index == position:
            return item
    return None


class Objects:
    """Answers for one region, remembered."""

    def __init__(self, names: Names, runtime: str = library.RUNTIME) -> None:
        """`runtime` is the module that the user's code imports the runtime from."""
        self.names = names
        self.runtime = runtime
        self.tree = names.tree
        self._known: dict[cst.CSTNode, Made | None] = {}
        self._valued: dict[ast.expr, Made | None] = {}
        self._depth = 0
        self._asking: set[tuple[Scope, str]] = set()  # names whose answer is being looked for
        self._steps = 0
        self._unsettled = 0  # answers given before all that they rest on was known

    @property
    def outline(self) -> Outline:
        return self.names.facts.outline

    def of(self, node: cst.CSTNode | None) -> Made | None:
        """What the expression's value is, or None where that is not certain."""
        if node is None:
            return None
        if node in self._known:
            return self._known[node]
        if self._depth > _DEPTH:
            self._unsettled += 1
            return None
        before = self._unsettled
        self._depth += 1
        answer = self._of(node)
        self._depth -= 1
        if self._depth == 0 or self._unsettled == before:
            self._known[node] = answer
        return answer

    def type(self, node: cst.CSTNode | None) -> str | None:
        """The type's canonical name alone."""
        made = self.of(node)
        return made.type if made is not None else None

    def function(self, node: cst.BaseExpression) -> str | None:
        """The canonical qualified name of what is called: `asyncio.create_task` under any alias."""
        # `asyncio.Queue[int]()` calls the class
        qualified = self.names.qualified(node.value if isinstance(node, cst.Subscript) else node)
        return self._canonical(qualified) if qualified else None

    def _canonical(self, qualified: str) -> str:
        if self.runtime != library.RUNTIME:
            module, _, name = qualified.rpartition(".")
            relative = module.startswith(".") and f".{self.runtime}".endswith("." + module.lstrip("."))
            if module == self.runtime or relative:
                qualified = f"{library.RUNTIME}.{name}"
        return library.canonical(qualified)

    def method(self, call: cst.Call) -> tuple[str, str] | None:
        """(type of the receiver, method) of a call such as `ex.submit(f)`; None for anything else."""
        match call.func:
            case cst.Attribute(value=receiver, attr=cst.Name(value=name)):
                kind = self.type(receiver)
                return (kind, name) if kind is not None else None
        return None

    def elsewhere(self, node: ast.expr, home: Home) -> Made | None:
        """What an expression of another function of the file is: an attribute of `self`, a local, a global."""
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                return self._stored(self.outline.attribute(home.owner, name))
            case ast.Name(id=name):
                for function in home.functions:
                    found = [item for item in ast.walk(function) if _assigns(item, name)]
                    if found:
                        return _agreed([self._value(item.value, home) for item in found])
                return self._parameter(name, home) or self._stored(self.outline.variable(name))
        return self._value(node, home)

    def home(self, node: cst.CSTNode) -> Home:
        """Where the node stands in the file's outline."""
        function = self.tree.function(node)
        return self._inside(function) if function is not None else Home()

    def referred(self, node: cst.BaseExpression) -> FunctionNode | None:
        """The function of this file that `f` or `self.f` stands for."""
        match node:
            case cst.Name(value=name) if self.names.facts.defines(name):
                return self.outline.referred(ast.Name(name), self.home(node))
            case cst.Attribute(value=cst.Name(value="self" | "cls"), attr=cst.Name(value=name)):
                if self.names.facts.defines(name):
                    return self.outline.method(self.home(node).owner, name)
        return None

    def definition(self, function: cst.FunctionDef) -> FunctionNode | None:
        """The `ast` node of a function of this region."""
        return self._definitions.get(function)

    @cached_property
    def _definitions(self) -> dict[cst.CSTNode, FunctionNode]:
        """Both trees hold the same functions in the same order: no need for positions, which are dear."""
        mine = (node for node in walk(self.tree.root) if isinstance(node, cst.FunctionDef))
        here, facts = self.tree.region, self.outline.facts
        region = facts.region_at(here.span.start) if here.function else facts.module
        theirs = [node for node in ast.walk(region.node) if isinstance(node, Definition)]
        return dict(zip(mine, sorted(theirs, key=lambda node: (node.lineno, node.col_offset)), strict=True))

    def _inside(self, function: cst.FunctionDef) -> Home:
        node = self.definition(function)
        return self.outline.inside(node) if node is not None else Home()

    def _of(self, node: cst.CSTNode) -> Made | None:
        match node:
            case cst.Call():
                return self._call(node)
            case cst.NamedExpr(value=value) | cst.Await(expression=value):
                return self.of(value)
            case cst.IfExp(body=one, orelse=other) | cst.BooleanOperation(left=one, right=other):
                return _agreed([self.of(one), self.of(other)])
            case cst.Name(value=name):
                return self._name(name, self.names.scope(node), node)
            case cst.Attribute(value=cst.Name(value="self" | "cls"), attr=cst.Name(value=name)):
                home = self.home(node)
                return self._stored(self.outline.attribute(home.owner, name))
            case cst.Attribute(value=owner, attr=cst.Name(value=name)) if self.names.qualified(node) is None:
                return _attribute(self.of(owner), name)
            case cst.Subscript(value=owner):
                return _attribute(self.of(owner), "*")
        return None

    def _call(self, node: cst.Call) -> Made | None:
        qualified = self.function(node.func)
        kind = library.made_by(qualified) if qualified else None
        if kind is not None:
            return Made(kind, (self._ast(node),))
        if qualified in library.NAMED:
            return _named(qualified, self._ast(node))
        if qualified in library.WRAPPERS:
            return self.of(node.args[0].value) if len(node.args) == 1 else None
        maker = self.of(node.func) if self.names.facts.mentions(_CALLABLES) else None
        if maker is not None and (maker.type, "__call__") in library.METHODS:
            return _from_method(maker, "__call__", self._ast(node))
        match node.func:
            case cst.Attribute(value=receiver, attr=cst.Name(value=method)):
                owner = self.of(receiver)
                return _from_method(owner, method, self._ast(node)) if owner else None
            case cst.Name(value=name) if self.names.scope(node).owner(name) in (None, self.names.top):
                return self._own_class(name, self._ast(node))
        return None

    def _ast(self, node: cst.Call) -> ast.Call:
        """The call as `ast` has it: arguments are asked for in one language."""
        try:
            parsed = ast.parse(self.tree.module.code_for_node(node).strip(), mode="eval").body
        except SyntaxError:  # an await outside of a function, and the like
            parsed = None
        return parsed if isinstance(parsed, ast.Call) else ast.Call(ast.Constant(None), [], [])

    def _name(self, name: str, scope: Scope, node: cst.CSTNode) -> Made | None:
        owner = scope.owner(name)
        if owner is None or (owner is self.names.top and self._in_function(node)):
            hidden = name in self.names.facts.imports
            return None if hidden else self._stored(self.outline.variable(name))
        self._steps = self._steps + 1 if self._asking else 0
        if (owner, name) in self._asking or self._steps > _STEPS:  # `node = node.next()` tells nothing new
            self._unsettled += 1
            return None
        self._asking.add((owner, name))
        found = [self._bound(name, binding) for binding in owner.bindings[name] if not _nothing(binding)]
        self._asking.remove((owner, name))
        return _agreed(found)

    def _in_function(self, node: cst.CSTNode) -> bool:
        return any(isinstance(above, Function) for above in self.tree.ancestors(node))

    def _bound(self, name: str, binding: Binding) -> Made | None:
        match binding:
            case Binding(kind="assign", value=value, annotation=annotation):
                return self.of(value) or self._annotated(annotation)
            case Binding(kind="parameter", annotation=annotation):
                return self._annotated(annotation)
            case Binding(node=cst.WithItem(item=item, asname=cst.AsName(name=cst.Name(value=bound)))):
                return self.of(item) if bound == name else None
        return None

    def _annotated(self, annotation: cst.Annotation | None) -> Made | None:
        if annotation is None:
            return None
        try:
            text = self.tree.module.code_for_node(annotation.annotation)
            return self._annotation(ast.parse(text.strip(), mode="eval").body)
        except SyntaxError:
            return None

    # The same for what other functions of the file assign

    def _stored(self, stores: Iterable[Store]) -> Made | None:
        found = [self._store(item) for item in stores if item.annotation or not is_none(item.value)]
        return _agreed(found)

    def _store(self, store: Store) -> Made | None:
        made = self._value(store.value, store.home) if store.value is not None else None
        return made or self._annotation(store.annotation)

    def _value(self, node: ast.expr, home: Home) -> Made | None:
        if node not in self._valued:
            self._valued[node] = None  # what rests on itself is nobody's
            self._valued[node] = self._valued_at(node, home)
        return self._valued[node]

    def _valued_at(self, node: ast.expr, home: Home) -> Made | None:
        match node:
            case ast.Call(func=ast.Subscript(value=function)) | ast.Call(func=function):
                return self._called(node, function, home)
            case ast.IfExp(body=one, orelse=other) | ast.BoolOp(values=[one, other]):
                return _agreed([self._value(one, home), self._value(other, home)])
            case ast.Await(value=value):
                return self._value(value, home)
            case ast.Name() | ast.Attribute(value=ast.Name(id="self" | "cls")):
                return self.elsewhere(node, home)
            case ast.Attribute(value=owner, attr=name) if self.outline.qualified(node, home.bound) is None:
                return _attribute(self._value(owner, home), name)
        return None

    def _called(self, node: ast.Call, function: ast.expr, home: Home) -> Made | None:
        qualified = self.outline.qualified(function, home.bound)
        kind = library.made_by(self._canonical(qualified)) if qualified else None
        if kind is not None:
            return Made(kind, (node,))
        if qualified in library.NAMED:
            return _named(qualified, node)
        if qualified in library.WRAPPERS:
            return self._value(node.args[0], home) if len(node.args) == 1 else None
        maker = self._value(function, home) if self.names.facts.mentions(_CALLABLES) else None
        if maker is not None and (maker.type, "__call__") in library.METHODS:
            return _from_method(maker, "__call__", node)
        match function:
            case ast.Attribute(value=receiver, attr=method):
                owner = self._value(receiver, home)
                return _from_method(owner, method, node) if owner else None
            case ast.Name(id=name):
                return self._own_class(name, node)
        return None

    def _parameter(self, name: str, home: Home) -> Made | None:
        """`def __init__(self, q: Queue): self.q = q`: what the annotation says."""
        if home.function is None:
            return None
        arguments = home.function.args
        for item in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if item.arg == name:
                return self._annotation(item.annotation)
        return None

    def _annotation(self, node: ast.expr | None) -> Made | None:
        match node:
            case ast.Constant(value=str(text)):
                try:
                    return self._annotation(ast.parse(text.strip(), mode="eval").body)
                except SyntaxError:
                    return None
            case ast.BinOp(left=one, op=ast.BitOr(), right=other):
                return self._annotation(other if is_none(one) else one if is_none(other) else None)
            case ast.Subscript(value=outer, slice=inner):
                name = self.outline.qualified(outer)
                if name in _OPTIONAL | _TRANSPARENT:
                    return self._annotation(inner.elts[0] if isinstance(inner, ast.Tuple) else inner)
                return self._annotation(outer)
            case ast.Name() | ast.Attribute():
                name = self.outline.qualified(node)
                kind = self._canonical(name) if name else None
                return Made(kind) if kind in library.CLASSES else None
        return None

    def _own_class(self, name: str, call: ast.Call) -> Made | None:
        """An object of a class of this file that derives from a thread, a process or a web application."""
        classes = self.outline.classes.get(name, ()) if self.names.facts.defines(name) else ()
        if len(classes) != 1 or name in self.names.facts.imports_anywhere:
            return None
        bases = [library.canonical(base) for base in self.outline.bases(classes[0])]
        kind = next((base for base in bases if base in library.SUBCLASSED), None)
        return Made(kind, (call,), classes[0]) if kind else None


def _from_method(owner: Made, method: str, call: ast.Call) -> Made | None:
    if owner.type == "multiprocessing":  # of get_context()
        kind = library.made_by(f"multiprocessing.{method}")
        return Made(kind, (call,)) if kind else None
    returned = library.METHODS.get((owner.type, method))
    return Made(returned, (call,)) if returned else None


def _named(qualified: str, call: ast.Call) -> Made | None:
    """What `boto3.resource("dynamodb")` returns."""
    match call.args:
        case [ast.Constant(value=str(word)), *_] if word in library.NAMED[qualified]:
            return Made(library.NAMED[qualified][word], (call,))
    return None


def _attribute(owner: Made | None, name: str) -> Made | None:
    if owner is None:
        return None
    kind = library.ATTRIBUTES.get((owner.type, name)) or library.ATTRIBUTES.get((owner.type, "*"))
    return Made(kind, owner.calls) if kind else None


def _agreed(found: list[Made | None]) -> Made | None:
    """What all say; None where one does not know, or they differ."""
    known = [item for item in found if item is not None]
    if not known or len(known) < len(found) or len({(item.type, item.subclass) for item in known}) > 1:
        return None
    return Made(known[0].type, tuple(call for item in known for call in item.calls), known[0].subclass)


def _assigns(node: ast.AST, name: str) -> TypeGuard[ast.Assign]:
    match node:
        case ast.Assign(targets=[ast.Name(id=target)]):
            return target == name
    return False


def _nothing(binding: Binding) -> bool:
    value = binding.value
    return binding.kind == "delete" or (isinstance(value, cst.Name) and value.value == "None")
