"""What a rule is: a value with functions. It holds no state; what belongs to a file is in Context.

A run in which no rule has anything to look at loads neither LibCST nor what only checks ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from perflint.analysis.facts import Facts
from perflint.analysis.gates import Gate
from perflint.analysis.payoff import payoff
from perflint.analysis.places import is_script, is_test_file
from perflint.model.config import Config
from perflint.model.diagnostics import Finding, Fix, Severity, Span
from perflint.model.source import Source

if TYPE_CHECKING:
    import libcst as cst

    from perflint.analysis.concurrency.roles import Roles
    from perflint.analysis.flow import Flow
    from perflint.analysis.kinds import Kinds
    from perflint.analysis.names import Names, Scope
    from perflint.analysis.objects import Objects
    from perflint.analysis.patterns.accumulate import Accumulators
    from perflint.analysis.sizes import Sizes
    from perflint.analysis.tree import Tree

Measure = Literal["time", "wall", "memory"]
Check = Callable[[Any, "Context"], Iterator[Finding]]
C = TypeVar("C", bound=Check)
T = TypeVar("T")


class Benchmark(NamedTuple):
    """How a rule's gain is measured: `perflint bench CODE` times `call` before and after.

    `setup` is Python source that makes the inputs for a size `n`; `before` and `after` default
    to the docstring's Bad and Good. `needs` names packages that must be installed. "time" is
    seconds of CPU of this process, "wall" seconds that pass (for what waits, or runs elsewhere),
    "memory" the most that Python has allocated at once during the call, in bytes.
    """

    setup: str
    call: str
    sizes: tuple[int, ...] = (100, 1_000, 10_000)
    before: str | None = None
    after: str | None = None
    needs: tuple[str, ...] = ()
    measure: Measure = "time"


class Rule:
    """One antipattern. `doc` is its documentation, with a Bad and a Good example."""

    def __init__(
        self,
        code: str,
        name: str,
        summary: str,
        category: str,
        severity: Severity,
        since: str,
        fix: Literal["never", "sometimes", "always"],
        gate: Gate,
        doc: str,
        benchmark: Benchmark | None,
        group: str = "",
        tests: bool = True,
        service: bool = False,
    ) -> None:
        self.code = code
        self.name = name
        self.summary = summary
        self.category = category
        self.severity = severity
        self.since = since
        self.fix = fix
        self.gate = gate
        self.doc = doc
        self.benchmark = benchmark  # None: the harm is a hang or a loss, which tests/harm shows
        self.group = group  # a rule with a group is off until the group or the rule is selected
        self.tests = tests  # whether it looks at tests, too
        self.service = service  # about long-running programs: one step less severe in scripts
        self.checks: dict[type[cst.CSTNode], list[Check]] = {}

    def visits(self, *kinds: type[cst.CSTNode]) -> Callable[[C], C]:
        """Call the decorated function with each node of these kinds and the context."""

        def register(check: C) -> C:
            for kind in kinds:
                self.checks.setdefault(kind, []).append(check)
            return check

        return register

    def finding(
        self,
        context: Context,
        at: cst.CSTNode | Span,
        message: str,
        fix: Fix | None = None,
        severity: Severity | None = None,
    ) -> Finding:
        """A finding of this rule at a node or a span."""
        span = at if isinstance(at, Span) else context.tree.span(at)
        gain = payoff(self.code, context.config.target)
        level = severity or self.severity
        if self.service and level > Severity.INFO and context.casual(span):
            level = Severity(level - 1)
        return Finding(self.code, self.name, level, span, message, gain, fix)


class Context:
    """All that a check may ask about the region it looks at."""

    def __init__(self, source: Source, facts: Facts, tree: Tree, config: Config) -> None:
        self.source = source
        self.facts = facts
        self.tree = tree
        self.config = config

    @cached_property
    def names(self) -> Names:
        from perflint.analysis.names import Names

        return Names(self.tree, self.facts)

    @cached_property
    def kinds(self) -> Kinds:
        from perflint.analysis.kinds import Kinds

        return Kinds(self.names)

    @cached_property
    def flow(self) -> Flow:
        from perflint.analysis.flow import Flow

        return Flow(self.tree, self.names)

    @cached_property
    def objects(self) -> Objects:
        from perflint.analysis.objects import Objects

        return Objects(self.names, self.config.runtime_module)

    @cached_property
    def sizes(self) -> Sizes:
        from perflint.analysis.sizes import Sizes

        return Sizes(self.names, self.objects, self.config.small_limit)

    @cached_property
    def roles(self) -> Roles:
        from perflint.analysis.concurrency.roles import Roles

        return self.facts.outline.once(Roles)

    @cached_property
    def in_test(self) -> bool:
        return is_test_file(self.source.path)

    def casual(self, span: Span) -> bool:
        """Whether the code is no service: a script's, or under `if __name__ == "__main__"`."""
        line = self.source.line_of(span.start)
        return is_script(self.source.path) or any(line in lines for lines in self.facts.outline.main_lines)

    @cached_property
    def accumulators(self) -> Accumulators:
        from perflint.analysis.patterns.accumulate import Accumulators

        return Accumulators(self.names, self.kinds, self.flow)

    def once(self, function: Callable[..., T], *question: Hashable) -> T:
        """`function(self, *question)`, remembered: many findings of one region ask the same."""
        key = (function, question)
        if key not in self._answers:
            self._answers[key] = function(self, *question)
        answer: T = self._answers[key]
        return answer

    def forget(self) -> None:
        """Drop the answers: some hold the context, and in a cycle it would outlive its use."""
        self._answers.clear()

    @cached_property
    def _answers(self) -> dict[Hashable, Any]:
        return {}

    def scope(self, node: cst.CSTNode) -> Scope:
        """The scope in which `node` is evaluated."""
        return self.names.scope(node)
