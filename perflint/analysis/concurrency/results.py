"""Whether code reads the results of what it hands to a pool before it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.tree import walk

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

_READERS = ("list", "tuple", "set", "dict", "sum", "sorted", "max", "min", "len")


def reads_all(body: cst.BaseSuite, name: str, context: Context) -> bool:
    """Whether each use of the pool is read to its end at once: `list(pool.map(..))`, `pool.submit(..).result()`."""
    used = 0
    for part in walk(body):
        if isinstance(part, (cst.Break, cst.Return)):
            return False
        if isinstance(part, cst.Name) and part.value == name:
            used += 1
            if not _read(part, context):
                return False
    return used > 0


def _read(name: cst.Name, context: Context) -> bool:
    tree = context.tree
    attribute = tree.parent(name)
    call = tree.parent(attribute) if isinstance(attribute, cst.Attribute) else None
    if (
        not isinstance(attribute, cst.Attribute)
        or not isinstance(call, cst.Call)
        or call.func is not attribute
    ):
        return False
    match attribute.attr.value, tree.parent(call):
        case "submit", cst.Attribute(attr=cst.Name(value="result")):
            return True
        case "map", cst.Arg() as argument:
            reader = tree.parent(argument)
            return isinstance(reader, cst.Call) and context.names.builtin(reader.func) in _READERS
        case "map", cst.For(iter=iterable):
            return iterable is call
        case "map", cst.CompFor(iter=iterable) as clause:
            return iterable is call and not isinstance(tree.parent(clause), cst.GeneratorExp)
    return False
