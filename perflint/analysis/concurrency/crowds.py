"""How many there are by nature: parts of a program are few, data may be any number."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Literal

import libcst as cst

from perflint.analysis.concurrency.nouns import meaning
from perflint.analysis.concurrency.origins import counted
from perflint.analysis.flow import bound_names
from perflint.analysis.likely import Likely
from perflint.analysis.match import dotted, root
from perflint.analysis.possible import own
from perflint.analysis.sizes import Size
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Comprehension

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

Crowd = Literal[
    "few",  # a crew of workers, a batch, parts of a program or cluster, work that runs already
    "own",  # what an object holds: as many as it was given
    "acting",  # objects that do the work themselves: `page.load()`
    "many",
]

# An item of these is a part of fixed size.
_PART = re.compile(r"(^|_)(batch|chunk|page|slice|window|shard|bucket)$", re.I)
_WORKER = re.compile(r"(worker|consumer|producer|listener|_loop|run_?forever|watcher|poller)", re.I)
_NEXT = re.compile(r"(^|\.)(__)?anext(__)?$")  # one step of each stream: all of them must be live
_CONFIGURED = {"self", "cls", "args", "config", "settings", "options", "opts"}
_SAME = {"list", "tuple", "set", "sorted", "reversed", "enumerate", "frozenset"}
_VIEWS = {"values", "items", "keys", "copy"}


def crowd(
    context: Context,
    target: cst.CSTNode | None,
    iterable: cst.BaseExpression | None,
    work: cst.BaseExpression | None,
) -> Crowd:
    """How many items there are: `for target in iterable: spawn(work)`."""
    called = work.func if isinstance(work, cst.Call) else work
    place = (dotted(called) or "") if called is not None else ""
    if iterable is not None and (_in_a_batch(context, iterable) or counted(context, iterable)):
        return "few"
    if part_of_fixed_size(iterable) or fixed_workers(context, iterable, work) or _NEXT.search(place):
        return "few"
    items = bound_names(target) if target is not None else set()
    word = meaning(target, iterable)
    if word == "running" or (word == "other" and not _made_on_the_way(context, iterable)):
        return "few"
    if re.search(r"\w_workers?(_|$)", place):
        return "few"
    acts = called is not None and root(called) in items
    owned = collaborators(context, iterable)
    if acts and owned:
        return "few"
    return "acting" if acts else "own" if owned else "many"


def may_be_many(sketch: Sketch, clause: ast.comprehension) -> bool:
    """A gate's question: whether a comprehension's first clause may run over more than `crowd` takes for few."""
    if clause.is_async:
        return True
    target, iterable = (cst.parse_expression(ast.unparse(part)) for part in (clause.target, clause.iter))
    word = meaning(target, iterable)
    return word == "data" or (word == "other" and not _there_already(sketch, clause.iter))


def _there_already(sketch: Sketch, iterable: ast.expr) -> bool:
    """Whether the items are surely not made on the way: an attribute, a view of a dict, a name of several values."""
    match iterable:
        case ast.Attribute():
            return True
        case ast.Call(
            func=ast.Attribute(value=owner, attr="values" | "items" | "keys"), args=[], keywords=[]
        ):
            return not (isinstance(owner, ast.Name) and owner.id in ("self", "cls"))  # a method of the file
        case ast.Name(id=name) if own(sketch, name):
            given = {item.arg for arguments in sketch.of(ast.arguments) for item in _parameters(arguments)}
            return name in given or len(sketch.once(Likely).bindings[name]) > 1
    return False


def _parameters(arguments: ast.arguments) -> list[ast.arg]:
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def _made_on_the_way(context: Context, iterable: cst.BaseExpression | None) -> bool:
    """Whether a generator or file gives the items: nobody knows how many."""
    return context.sizes.lazy(iterable) or context.sizes.of(iterable) is Size.INFINITE


def _in_a_batch(context: Context, iterable: cst.BaseExpression) -> bool:
    """Whether the function around takes one batch, `batch_get(ids)`: its caller says how large that is."""
    function = context.tree.function(iterable)
    return function is not None and re.search(r"(^|_)(batch|chunk)(_|$)", function.name.value) is not None


def fixed_workers(
    context: Context, iterable: cst.BaseExpression | None, work: cst.BaseExpression | None
) -> bool:
    """Whether it is a fixed crew: `for _ in range(n): spawn(worker(q))`."""
    if work is None or not isinstance(iterable, cst.Call) or context.names.builtin(iterable.func) != "range":
        return False
    called = work.func if isinstance(work, cst.Call) else work
    function = context.objects.referred(called)
    loops = function is not None and any(isinstance(item, ast.While) for item in ast.walk(function))
    return loops or _WORKER.search(dotted(called) or "") is not None


def part_of_fixed_size(iterable: cst.BaseExpression | None) -> bool:
    """Whether the iterable is named as one part of a larger whole: `for x in batch`."""
    last = (dotted(iterable) or "").rpartition(".")[2] if iterable is not None else ""
    return bool(last and _PART.search(last))


def collaborators(context: Context, iterable: cst.BaseExpression | None) -> bool:
    """Whether the items are an object's own parts, `self._judges`: as many as were configured."""
    while isinstance(iterable, cst.Call):
        builtin = context.names.builtin(iterable.func)
        if builtin in _SAME and iterable.args:
            iterable = iterable.args[0].value
        elif builtin == "zip":  # as many as the shortest
            return any(collaborators(context, item.value) for item in iterable.args)
        elif builtin == "range" and iterable.args:  # `range(self.size)`
            last = iterable.args[-1].value
            return isinstance(last, cst.Attribute) and root(last) in _CONFIGURED
        elif isinstance(iterable.func, cst.Attribute) and iterable.func.attr.value in _VIEWS:
            if iterable.args:
                return False
            iterable = iterable.func.value
        else:
            return False
    return isinstance(iterable, cst.Attribute) and dotted(iterable) is not None


def header(loop: cst.CSTNode) -> tuple[cst.CSTNode | None, cst.BaseExpression | None]:
    """What a loop or comprehension binds and runs over; nothing for `while` and for streams."""
    clause = loop.for_in if isinstance(loop, Comprehension) else loop
    if isinstance(clause, (cst.For, cst.CompFor)) and clause.asynchronous is None:
        return clause.target, clause.iter
    return None, None
