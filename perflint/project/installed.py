"""What findings depend on besides the files and the configuration: Python, perflint and the packages of rules."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import perflint
from perflint.analysis.distributions import rule_packages, version
from perflint.project import stamps


class Installed(NamedTuple):
    """`code` stands for versions and the content of every rule; `words` are what `select` and `ignore` take."""

    code: str
    words: frozenset[str]
    packages: tuple[str, ...]  # folders of rule packages that are not perflint's
    state: bytes = b""  # what `stamps.installed` said of these


def look() -> Installed:
    """Load the rules and see. Raise RegistryError where one is broken."""
    from importlib import import_module

    from perflint.analysis import registry

    words = registry.selectors()
    points = rule_packages()
    modules = [import_module(point.value.partition(".")[0]) for point in points]  # rules may use all of it
    folders = tuple(str(folder) for module in modules for folder in module.__path__)
    from hashlib import blake2b

    versions = [f"{point.dist.name} {point.dist.version}" for point in points if point.dist]
    parsers = [str(version(name)) for name in ("libcst", "ast_serialize")]
    facts = [sys.version, perflint.__version__, *parsers, *versions]
    for name, entry in stamps.files((stamps.OWN, *folders)):
        facts += [name, blake2b(Path(entry.path).read_bytes()).hexdigest()]
    return Installed(blake2b(stamps.joined(facts), digest_size=16).hexdigest(), words, folders)
