"""Loops that start work in each turn: where it piles up, and why it may stay small all the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import libcst as cst

from perflint.analysis.concurrency.admission import admitted, is_limiter
from perflint.analysis.concurrency.crowds import Crowd, crowd, header
from perflint.analysis.concurrency.fanout import inner_work, limited
from perflint.analysis.concurrency.roles import is_cleanup
from perflint.analysis.concurrency.settled import settled
from perflint.analysis.concurrency.spawns import Spawn
from perflint.analysis.match import dotted, names_in
from perflint.analysis.sizes import Size
from perflint.analysis.tree import Comprehension, walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

_START = re.compile(
    r"_*(a?start|a?run|serve|listen|launch|set_?up|connect|open|init|a?enter__|on_start|on_ready|life_?span|main$)",
    re.I,
)
# Work that lasts as long as its object does.
_LASTS = re.compile(r"_*(start|run|serve|run_forever|start_serving|listen)$")
_ENDS = re.compile(
    r"(^|_)(terminat\w+|shut_?down|cancel\w*|clos(e|ing)|disconnect\w*|stop\w*|clean_?up|kill)(_|$)", re.I
)
_CLOSES = {"close", "aclose", "stop", "cancel", "shutdown", "terminate", "kill"}


class Pile(NamedTuple):
    """A loop or comprehension in whose turns work piles up, and how often it turns."""

    loop: cst.CSTNode
    size: Size

    def crowd(self, context: Context, found: Spawn) -> Crowd:
        """How many items of that kind there are by nature."""
        return crowd(context, *header(self.loop), inner_work(context, found.work))

    @property
    def iterable(self) -> cst.BaseExpression | None:
        """What it runs over; None for `while` and for a stream."""
        return header(self.loop)[1]


def piles(context: Context, found: Spawn) -> Iterator[Pile]:
    """The loops that repeat a spawn without a bound, innermost first.

    None where a turn asks for a slot or finishes its work. Loops over a few items, and those that a
    spawn leaves, do not count.
    """
    objects, flow, node = context.objects, context.flow, found.call
    below: cst.CSTNode = node
    while (loop := flow.repeated(below)) is not None:
        size = context.sizes.repeats(loop)
        if isinstance(loop, (cst.For, cst.While)):
            if settled(objects, flow, node, loop) or admitted(objects, flow, node, loop):
                return
            if flow.runs_once(below, loop) or _fills_up(loop):
                size = Size.SMALL
        if size is not Size.SMALL:
            yield Pile(loop, size)
        below = loop


def few(context: Context, found: Spawn, pile: Pile) -> bool:
    """Whether the pile stays small for a reason that the loop's size does not tell.

    Clean-up, work that takes a limiter, few items by nature, turns with a pause between them, a place
    for one task at a time, or what an object starts once for each of its own parts.
    """
    work = inner_work(context, found.work)
    if is_cleanup(context.tree, found.call, work) or limited(context, work):
        return True
    if any(is_limiter(context.objects, item.value) for item in found.call.args):
        return True
    kind = pile.crowd(context, found)
    if kind == "few" or (kind != "many" and starts_up(context, found.call)) or _long_or_last(work, pile):
        return True
    if isinstance(pile.loop, Comprehension):
        return False
    return (
        one_at_a_time(context, found.call, pile.loop)
        or _ended_in_turn(work, pile.loop)
        or (isinstance(pile.loop, cst.While) and _pauses(pile.loop))
    )


def one_at_a_time(context: Context, node: cst.Call, within: cst.CSTNode) -> bool:
    """`self.task = create_task(..)`, `if task is None: task = create_task(..)`: a place for one."""
    match context.tree.parent(node):
        case cst.Assign(targets=[cst.AssignTarget(target=target)]) | cst.AnnAssign(target=target):
            place = dotted(target)
        case _:
            return False
    if isinstance(target, cst.Subscript):
        return _looked_up(dotted(target.value), within)
    if place is None:
        return False
    if isinstance(target, cst.Attribute) and place.startswith(("self.", "cls.")):
        return True
    for above in context.tree.ancestors(node, within):
        if isinstance(above, cst.If) and place.partition(".")[0] in names_in(above.test):
            return True
    return False


def _looked_up(container: str | None, within: cst.CSTNode) -> bool:
    """Whether the turn looks a key up before it stores one: `if key in self.tasks: continue`."""
    for node in walk_scope(getattr(within, "body", within)) if container is not None else ():
        match node:
            case cst.ComparisonTarget(operator=cst.In() | cst.NotIn(), comparator=compared):
                if dotted(compared) == container:
                    return True
    return False


def starts_up(context: Context, node: cst.CSTNode) -> bool:
    """Whether the function around is one that runs when its object or server starts."""
    function = context.tree.function(node)
    return function is not None and _START.match(function.name.value) is not None


# Parts


def _long_or_last(work: cst.BaseExpression | None, pile: Pile) -> bool:
    """Whether the work ends something, or is a service that a finite loop starts."""
    called = work.func if isinstance(work, cst.Call) else work
    name = (dotted(called) or "").rpartition(".")[2] if called is not None else ""
    return bool(_ENDS.search(name)) or (pile.size is Size.UNKNOWN and _LASTS.match(name) is not None)


def _ended_in_turn(work: cst.BaseExpression | None, loop: cst.CSTNode) -> bool:
    """Whether the turn ends what it started before: `await worker.close(); spawn(worker.run())`."""
    called = work.func if isinstance(work, cst.Call) else work
    owner = dotted(called.value) if isinstance(called, cst.Attribute) else None
    for node in walk_scope(getattr(loop, "body", loop)) if owner is not None else ():
        match node:
            case cst.Call(func=cst.Attribute(value=receiver, attr=cst.Name(value=name))):
                if name in _CLOSES and dotted(receiver) == owner:
                    return True
    return False


def _pauses(loop: cst.While) -> bool:
    """Whether the turns of the loop are spaced by a pause."""
    for node in walk_scope(loop.body):
        match node:
            case cst.Call(func=function, args=[cst.Arg(value=delay), *_]):
                pause = (dotted(function) or "").rpartition(".")[2] == "sleep"
                if pause and not (isinstance(delay, cst.Integer) and delay.value == "0"):
                    return True
    return False


def _fills_up(loop: cst.For | cst.While) -> bool:
    """`while len(self.threads) < n:`: the loop stops where there are enough."""
    match loop:
        case cst.While(test=cst.Comparison(left=left, comparisons=[cst.ComparisonTarget(operator=operator)])):
            counted = isinstance(left, cst.Call) and dotted(left.func) == "len"
            return counted and isinstance(operator, (cst.LessThan, cst.LessThanEqual))
    return False
