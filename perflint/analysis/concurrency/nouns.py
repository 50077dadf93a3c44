"""Whether names say that a collection holds data, of which there may be any number.

Two loops of one shape differ only in what they run over: `urls` come from outside, `plugins` were written down
by somebody. In 40 projects that no rule had been fitted to, most fan-outs over words that are not known here
were over a handful of configured things (docs/rules-quality.md), so those are left alone.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

import libcst as cst

from perflint.analysis.flow import bound_names

# What programs get from outside: from files, tables, queues, requests and the network.
_FROM_OUTSIDE = """
    url uri link href page site feed file filename path image photo picture thumbnail video audio media doc
    document record row line user customer account email mail address message msg event order text prompt
    chunk batch sentence query symbol ticker host ip domain post comment tweet reply article repo repository
    commit job task todo payload sample point product transaction payment invoice ticket issue bug song track
    album movie game download upload attachment blob city location reading measurement paper book isbn sku
    listing ad offer subscriber recipient follower friend contact member guest patient student pod route
    request response notification webhook uuid guid packet span log shop restaurant flight hotel container
"""
# Words that say nothing of their own; a collection of these is data, one of them is anything.
_OF_NOTHING = """
    item entry element elem object obj datum data result value number num input output arg param key
    id pk name thing work it record x y z k v n i e list lst seq iterable all rest batch
"""
# Calls that give such data.
_CALLS_THAT_READ = """
    aggregate all fetch_all fetchall fetchmany filter find find_all findall finditer glob iterdir json listdir
    load loads mappings open query range read readlines records rglob rows scalars scan scan_iter scandir
    select split splitlines walk
"""
# Work that is there already, and as much as whoever made it allowed.
_RUNNING = re.compile(r"(^|_)(aws?|awaitables?|coros?|coroutines?|futures?|futs?)$", re.I)
_DATA = frozenset(_FROM_OUTSIDE.split())
_GENERIC = frozenset(_OF_NOTHING.split())
_TAILS = re.compile(
    r"_(ids?|keys?|names?|list|set|queue|batch|map|dict|table|col|df|arr|array|tuple|iter|gen|generator)$"
)
_RELATION = re.compile(r"_(to|by|for|from|in|of|with|without|per|on)_.*$")
_READS = frozenset(_CALLS_THAT_READ.split())
_SAME = {
    "list",
    "tuple",
    "set",
    "sorted",
    "reversed",
    "enumerate",
    "frozenset",
    "zip",
    "iter",
    "filter",
    "chain",
    "unique",
}
_VIEWS = {"values", "items", "keys", "copy", "get"}


Word = Literal["running", "data", "generic", "other"]


def meaning(target: cst.CSTNode | None, iterable: cst.BaseExpression | None) -> Word:
    """What `for target in iterable` runs over, as far as the names tell; a stream always gives data.

    A word of its own decides, `url` or `plugin`; `for x in items` says nothing, and is taken for data.
    """
    names = bound_names(target) if target is not None else set()
    found = _word(iterable) if iterable is not None else "data"
    if found == "running" or any(_RUNNING.search(name) for name in names):
        return "running"
    items = {_noun(name) for name in names}
    known = found == "data" or not items.isdisjoint(_DATA)
    return "data" if known or (found == "generic" and all(map(_is_generic, items))) else "other"


def _word(node: cst.BaseExpression) -> Word:
    """What the words of an iterable say."""
    match node:
        case cst.Await(expression=inner):
            return _word(inner)
        case cst.Call(func=cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name)), args=args):
            return _of_call(node, name, [item.value for item in args])
        case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Index(value=cst.SimpleString() as key))]):
            return _word(key)
        case cst.Subscript(value=value):
            return _word(value)
        case cst.SimpleString():
            text = node.evaluated_value
            return _of_name(text) if isinstance(text, str) else "other"
        case cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name)):
            return _of_name(name)
        case cst.BinaryOperation(left=left, right=right) | cst.BooleanOperation(left=left, right=right):
            return _any(_word(left), _word(right))
        case cst.ListComp() | cst.SetComp() | cst.GeneratorExp():
            return meaning(node.for_in.target, node.for_in.iter)
    return "other"


def _of_call(call: cst.Call, name: str, args: list[cst.BaseExpression]) -> Word:
    given = [_word(item) for item in args]
    if name in _SAME or (isinstance(call.func, cst.Name) and "running" in given):  # `tqdm(futures)`
        return _any(*given)
    if name in _VIEWS and isinstance(call.func, cst.Attribute):
        keyed = args[0] if args and isinstance(args[0], cst.SimpleString) else None
        return _word(keyed if keyed is not None else call.func.value)
    return "data" if name in _READS else _of_name(name)


def _any(*words: Word) -> Word:
    return next((word for word in get_args(Word) if word in words), "other")


def _of_name(name: str) -> Word:
    if _RUNNING.search(name):
        return "running"
    noun = _noun(name)
    return "data" if noun in _DATA else "generic" if _is_generic(noun) else "other"


def _is_generic(noun: str) -> bool:
    return len(noun) <= 2 or noun in _GENERIC


def _noun(name: str) -> str:
    """The word that says what a name stands for, in the singular: `url` of `_urls_to_fetch`."""
    word = (
        re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.rpartition(".")[2]).replace("-", "_").strip("_").lower()
    )
    word = _RELATION.sub("", word)
    shorter = _TAILS.sub("", word)
    if shorter != word and not shorter.endswith(("get", "load", "fetch", "list", "read", "all")):
        word = shorter
    last = word.rpartition("_")[2]
    whole = _singular(word)
    return whole if whole in _DATA else _singular(last)


def _singular(word: str) -> str:
    if word in _DATA or word in _GENERIC:
        return word
    for ending, single in (("ies", "y"), ("ches", "ch"), ("sses", "ss"), ("xes", "x"), ("s", "")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + single
    return word
