"""How often `task_done()` runs for an item that was taken from a queue, on each path through the code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.concurrency.consumers import may_raise, taken_from
from perflint.analysis.concurrency.handlers import is_wide, suppresses
from perflint.analysis.flow import bound_names
from perflint.analysis.match import dotted, names_in
from perflint.analysis.tree import walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

State = int | None  # calls of task_done since the item was taken; None: no item is open
States = frozenset[State]
NONE: States = frozenset()


class Unclear(Exception):
    """The code takes several items at once, or counts them in some other way."""


@dataclass
class Exits:
    """With how many calls each way out of a piece of code is reached."""

    normal: States = NONE
    raised: States = NONE
    turned: States = NONE  # `continue`
    left: States = NONE  # `break`
    returned: States = NONE

    def __or__(self, other: Exits) -> Exits:
        return Exits(
            self.normal | other.normal,
            self.raised | other.raised,
            self.turned | other.turned,
            self.left | other.left,
            self.returned | other.returned,
        )


@dataclass
class Account:
    """The paths through one block of code, for one queue."""

    context: Context
    queue: str
    items: set[str]  # what the taken item is called
    protected: bool = False  # task_done stands in `finally`: only calls on the item count as work
    handling: int = field(default=0)  # inside this many handlers: what they call counts as calm

    def block(self, statements: Iterable[cst.CSTNode], states: States) -> Exits:
        """The ways out of a list of statements."""
        out = Exits(normal=states)
        for item in statements:
            if not out.normal:
                break
            step = self._statement(item, out.normal)
            out = Exits(NONE, out.raised, out.turned, out.left, out.returned) | step
        return out

    def _statement(self, item: cst.CSTNode, states: States) -> Exits:
        match item:
            case cst.SimpleStatementLine(body=smalls):
                return self.block(smalls, states)
            case cst.If():
                return self._if(item, states)
            case cst.For() | cst.While():
                return self._loop(item, states)
            case cst.Try():
                return self._try(item, states)
            case cst.With():
                return self._with(item, states)
            case cst.Match(cases=cases):
                return self._either([*(case.body.body for case in cases), []], states)
            case cst.FunctionDef() | cst.ClassDef():
                return Exits(normal=states)
            case cst.TryStar():
                raise Unclear
        return self._small(item, states)

    def _small(self, item: cst.CSTNode, states: States) -> Exits:
        states, raised = self._evaluated(item, states)
        match item:
            case cst.Raise():
                return Exits(raised=states | raised)
            case cst.Continue():
                return Exits(turned=states, raised=raised)
            case cst.Break():
                return Exits(left=states, raised=raised)
            case cst.Return():
                return Exits(returned=states, raised=raised)
        return Exits(normal=states, raised=raised)

    def _evaluated(self, item: cst.CSTNode | None, states: States) -> tuple[States, States]:
        """(after, when it raises) of the calls in an expression or small statement."""
        raised = NONE
        takes = done = risky = False
        for node in walk_scope(item) if item is not None else ():
            if is_done(node, self.queue):
                done = True
            elif taken_from(self.context.objects, node, self.queue) == self.queue:
                takes = True
            elif may_raise(node, self.queue):
                risky = risky or not self.protected or not self.items.isdisjoint(names_in(node))
        if takes:
            if 0 in states:
                raise Unclear
            raised, states = states, frozenset({0})
        if risky and not self.handling:
            raised |= states
        if done:
            states = frozenset(None if state is None else min(state + 1, 2) for state in states)
        return states, raised

    def _if(self, item: cst.If, states: States) -> Exits:
        states, raised = self._evaluated(item.test, states)
        other: Sequence[cst.CSTNode] = []
        match item.orelse:
            case cst.Else(body=body):
                other = body.body
            case cst.If():
                other = [item.orelse]
        end = sentinel(item.test, self.items)
        yes = NONE if end is None else frozenset({None})
        taken = self.block(item.body.body, yes if end is True and 0 in states else states)
        passed = self.block(other, yes if end is False and 0 in states else states)
        return Exits(raised=raised) | taken | passed

    def _either(self, bodies: Sequence[Sequence[cst.CSTNode]], states: States) -> Exits:
        out = Exits()
        for body in bodies:
            out |= self.block(body, states)
        return out

    def _loop(self, item: cst.For | cst.While, states: States) -> Exits:
        head = item.iter if isinstance(item, cst.For) else item.test
        for node in walk_scope(item):
            if is_done(node, self.queue) or taken_from(self.context.objects, node, self.queue) == self.queue:
                raise Unclear
        states, raised = self._evaluated(head, states)
        body = self.block(item.body.body, states)
        after = states | body.normal | body.turned | body.left
        rest = self.block(item.orelse.body.body, states) if item.orelse else Exits()
        return Exits(after, raised | body.raised, NONE, NONE, body.returned) | rest

    def _try(self, item: cst.Try, states: States) -> Exits:
        body = self.block(item.body.body, states)
        out = Exits(NONE, NONE, body.turned, body.left, body.returned)
        out |= self.block(item.orelse.body.body, body.normal) if item.orelse else Exits(normal=body.normal)
        caught = body.raised
        self.handling += 1
        for handler in item.handlers:
            out |= self.block(handler.body.body, caught)
            if is_wide(self.context.names, handler):
                caught = NONE
                break
        out.raised |= caught
        if item.finalbody is not None:
            out = self._finally(item.finalbody, out)
        self.handling -= 1
        return out

    def _finally(self, item: cst.Finally, out: Exits) -> Exits:
        found = Exits()
        for name in ("normal", "raised", "turned", "left", "returned"):
            states = getattr(out, name)
            end = self.block(item.body.body, states) if states else Exits()
            setattr(found, name, getattr(found, name) | end.normal)
            found |= Exits(NONE, end.raised, end.turned, end.left, end.returned)
        return found

    def _with(self, item: cst.With, states: States) -> Exits:
        body = self.block(item.body.body, states)  # that a `with` does not open is another story
        if any(suppresses(self.context.names, part.item) for part in item.items):
            body.normal, body.raised = body.normal | body.raised, NONE
        return body


def is_done(node: cst.CSTNode, queue: str | None = None) -> bool:
    """Whether the node is a call of `task_done` (of that queue)."""
    match node:
        case cst.Call(func=cst.Attribute(value=receiver, attr=cst.Name(value="task_done")), args=[]):
            return queue is None or dotted(receiver) == queue
    return False


def item_names(context: Context, body: cst.CSTNode, queue: str) -> set[str]:
    """The names that get what is taken from the queue."""
    found: set[str] = set()
    for node in walk_scope(body):
        match node:
            case cst.Assign(targets=targets, value=value):
                if any(taken_from(context.objects, part, queue) == queue for part in walk_scope(value)):
                    found.update(*(bound_names(target.target) for target in targets))
            case cst.For(target=target) if node is body:
                found |= bound_names(target)
            case cst.NamedExpr(target=target, value=value):
                if any(taken_from(context.objects, part, queue) == queue for part in walk_scope(value)):
                    found |= bound_names(target)
    return found


def sentinel(test: cst.BaseExpression, items: set[str]) -> bool | None:
    """Which branch of an `if` is for the item that means the end (or for none at all); None: it is no such test."""
    match test:
        case cst.UnaryOperation(operator=cst.Not(), expression=cst.Name(value=name)) if name in items:
            return True
        case cst.Name(value=name) if name in items:
            return False
        case cst.Comparison(left=cst.Name(value=name), comparisons=[cst.ComparisonTarget(operator=operator)]):
            if name not in items:
                return None
            if isinstance(operator, (cst.Is, cst.Equal)):
                return True
            return False if isinstance(operator, (cst.IsNot, cst.NotEqual)) else None
    return None
