"""What a program does with a value that it reads: calls it, looks inside, or hands it on."""

from __future__ import annotations

import ast
from typing import Literal, NamedTuple

import libcst as cst

from perflint.analysis.facts import Facts
from perflint.analysis.tree import Tree

Role = Literal["called", "attribute", "subscript", "argument", "compared", "annotation", "other"]


class Use(NamedTuple):
    """One use of a value; `node` is what it takes part in: the call, attribute, subscript or the like."""

    role: Role
    node: cst.CSTNode | None


def use(tree: Tree, node: cst.CSTNode) -> Use:
    """How the value of `node` is used. Everything but "other" leaves it where it is, or tells who gets it."""
    parent = tree.parent(node)
    match parent:
        case cst.Call(func=func) if func is node:
            return Use("called", parent)
        case cst.Attribute(value=value) if value is node:
            return Use("attribute", parent)
        case cst.Subscript(value=value) if value is node:
            return Use("subscript", parent)
        case cst.Arg() if isinstance(tree.parent(parent), cst.Call):
            return Use("argument", tree.parent(parent))
        case cst.Comparison() | cst.ComparisonTarget():
            return Use("compared", parent)
        case cst.Annotation():
            return Use("annotation", parent)
    return Use("other", parent)


def assigned_name(tree: Tree, node: cst.BaseExpression) -> cst.Name | None:
    """The plain name that a statement `name = node` binds, annotated or not, to `node` alone."""
    match tree.parent(node):
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name() as name)], value=value) if value is node:
            return name
        case cst.AnnAssign(target=cst.Name() as name, value=value) if value is node:
            return name
    return None


def method(tree: Tree, call: cst.CSTNode | None) -> str | None:
    """The name of the method that a call calls: `append` of `xs.append(x)`."""
    match call:
        case cst.Call(func=cst.Attribute(attr=cst.Name(value=name))):
            return name
    return None


def called_by_module(facts: Facts, function: str) -> bool:
    """Whether the module itself calls the function, as a script does with what it runs once."""
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    statements = [item for item in facts.tree.body if not isinstance(item, definitions)]
    calls = (node for item in statements for node in ast.walk(item) if isinstance(node, ast.Call))
    return any(isinstance(call.func, ast.Name) and call.func.id == function for call in calls)
