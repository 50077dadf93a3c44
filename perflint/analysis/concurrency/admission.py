"""Whether a loop asks for a slot before it spawns: then the number of live tasks is bounded."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.flow import Flow
from perflint.analysis.match import dotted, is_name, names_in
from perflint.analysis.objects import Objects
from perflint.analysis.tree import walk_scope

# What people call the thing that admits: `self._sem`, `rate_limiter`, `free_slots`, `token_bucket`.
LIMITER = re.compile(
    r"(^|_|\.)(semaphores?|sema?|\w*limit(er|ed|s)?|\w*slots?|throttl\w+|\w*bucket|quota|permits?|capacity)(_|\.|$)",
    re.I,
)
_ASKS = {
    "acquire",
    "wait",
    "get",
    "get_nowait",
    "take",
    "acquire_on_behalf_of",
    "acquire_nowait",
    "acquire_on_behalf_of_nowait",
    "throttle",
    "reserve",
    "consume",
}
_ACQUIRES = re.compile(r"_*(try_)?acquire_(?!lock)\w+")  # `self._acquire_token(id)`
_COUNT = re.compile(
    r"(^|_|\.)(active|running|pending|in_?flight|outstanding|alive|count|num|n|current|open|busy)(_|$)", re.I
)
_MAKES_ROOM = (cst.Await, cst.Continue, cst.Break, cst.Return, cst.Raise)
_ROOM_METHODS = {"clear", "join", "result", "wait", "get", "sleep", "acquire", "popleft", "pop"}


def admitted(objects: Objects, flow: Flow, spawn: cst.CSTNode, loop: cst.CSTNode) -> bool:
    """Whether, in each turn of `loop`, something on every path to `spawn` waits for a free slot."""
    return any(_admits(objects, statement) for statement in _before(flow, spawn, loop))


def is_limiter(objects: Objects, node: cst.BaseExpression) -> bool:
    """Whether an expression is a semaphore or the like, by its type or its name."""
    if isinstance(node, cst.Call):
        node = node.func
    kind = objects.type(node)
    if kind is not None:
        return kind in library.LIMITERS
    place = dotted(node)
    return place is not None and LIMITER.search(place) is not None


def takes_limiter(objects: Objects, call: cst.BaseExpression) -> bool:
    """Whether a limiter is handed to the call, or its function is named after one."""
    if not isinstance(call, cst.Call):
        return False
    name = dotted(call.func)
    named = name is not None and LIMITER.search(name.rpartition(".")[2]) is not None
    return named or any(is_limiter(objects, item.value) for item in call.args)


def _before(flow: Flow, spawn: cst.CSTNode, loop: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The statements of the loop's body that always run before `spawn`, and its own `with` items."""
    below = spawn
    for above in flow.tree.ancestors(spawn):
        if isinstance(above, (cst.IndentedBlock, cst.SimpleStatementSuite, cst.SimpleStatementLine)):
            for item in above.body:
                if item is below:
                    break
                yield item
        if above is loop:
            return
        if isinstance(above, cst.If) and above.body is below:
            yield above.test
        if isinstance(above, cst.Try) and above.orelse is below:
            yield from above.body.body
        below = above


def _admits(objects: Objects, statement: cst.CSTNode) -> bool:
    match statement:
        case cst.If(test=test, body=body) if any(is_limiter(objects, part) for part in _parts(test)):
            return any(_admits(objects, item) for item in body.body)  # `if limiter: limiter.acquire()`
        case cst.If(test=test, body=body) | cst.While(test=test, body=body):
            return _compares_a_count(test) and _makes_room(body)
        case cst.With(items=items, body=body):
            return any(_admits(objects, item) for item in body.body) or any(
                _asks(objects, item.item) for item in items
            )
        case cst.Try(body=body):
            return any(_admits(objects, item) for item in body.body)
        case cst.SimpleStatementLine(body=smalls):
            return any(_admits(objects, item) for item in smalls)
        case cst.Expr() | cst.Assign() | cst.AnnAssign():
            return any(_asks(objects, node) for node in walk_scope(statement))
    # the test of an `if` around: `if sem.acquire(False): spawn()`
    return isinstance(statement, cst.BaseExpression) and any(
        _asks(objects, node, tested=True) for node in walk_scope(statement)
    )


def _asks(objects: Objects, node: cst.CSTNode, tested: bool = False) -> bool:
    """`sem.acquire()`, awaited or blocking; `await limiter.wait()`; `self._throttle()`."""
    match node:
        case cst.Call(func=cst.Attribute(value=receiver, attr=cst.Name(value=method))):
            if method == "acquire" and not tested and any(is_name(item.value, "False") for item in node.args):
                return False
            if method in _ASKS and is_limiter(objects, receiver):
                return True
            return bool(LIMITER.search(method) or _ACQUIRES.match(method))
        case cst.Call(func=cst.Name(value=name)):
            return bool(LIMITER.search(name)) and objects.of(node) is None and not name[:1].isupper()
    return False


def _parts(test: cst.BaseExpression) -> Iterator[cst.BaseExpression]:
    """`limiter` of `if limiter:` and of `if self.limiter is not None:`."""
    yield test
    if isinstance(test, cst.Comparison):
        yield test.left


def _compares_a_count(test: cst.BaseExpression) -> bool:
    """`len(tasks) >= n`, `self.active > LIMIT`, `n_running < n`: a test of how many there are."""
    for node in walk_scope(test):
        if not isinstance(node, cst.Comparison) or isinstance(node.comparisons[0].operator, (cst.Is, cst.In)):
            continue
        sides = (node.left, node.comparisons[0].comparator)
        for side in sides:
            if isinstance(side, cst.Call) and "len" in names_in(side.func):
                return True
            place = dotted(side)
            if place is not None and (_COUNT.search(place) or LIMITER.search(place)):
                return True
            if isinstance(side, cst.Call) and (dotted(side.func) or "").endswith(("qsize", "active_count")):
                return True
    return False


def _makes_room(body: cst.CSTNode) -> bool:
    for node in walk_scope(body):
        if isinstance(node, _MAKES_ROOM):
            return True
        match node:
            case cst.Call(func=cst.Attribute(attr=cst.Name(value=name)) | cst.Name(value=name)):
                if name in _ROOM_METHODS:
                    return True
    return False
