"""What a region must hold before a rule looks at it: what is cheap to ask, in the order of its price."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from perflint.analysis.marks import Mark
from perflint.analysis.needles import MARKED, Need, by_package, named, need
from perflint.analysis.regions import Region
from perflint.analysis.shown import Shown
from perflint.analysis.sketch import Sketch
from perflint.analysis.written import Written
from perflint.model.config import Config

if TYPE_CHECKING:
    from perflint.analysis.facts import Facts


class Gate(NamedTuple):
    """What a region must hold before a rule looks at it, cheapest test first.

    A gate must never hide a finding: the rule tester runs every fixture with gates off and
    demands the same findings.
    """

    text: tuple[bytes, ...] = ()  # any of these needles, or of the following; none at all asks for nothing
    shown: tuple[Shown, ...] = ()
    marks: frozenset[Mark] = frozenset()
    names: tuple[str, ...] = ()  # qualified names; the ways that the file writes them are needles
    option: str = ""  # the Config field that holds more such names
    widened: str = ""  # the Config field that, where it is set, adds what the sketch knows nothing of
    beside: tuple[tuple[str, bytes], ...] = ()  # (package, needle that counts only beside its import)
    loop_text: tuple[bytes, ...] = ()  # needles that count only inside a loop
    loop: bool = False  # any needle counts only inside a `for` or `while` statement
    inner: bool = False  # outside of functions a needle counts only inside a loop
    within: tuple[bytes, ...] = ()  # words that the region must hold besides, all of them
    imports: tuple[str, ...] = ()  # any of these packages is imported somewhere in the file
    sketch: Callable[[Sketch], bool] | None = None  # whether the syntax tree holds what the rule looks for

    def resolved(self, config: Config, facts: Written) -> Gate | None:
        """This gate for one file, its names turned into needles; None where the file can hold none."""
        more = self._more(config)
        names = (*self.names, *more)
        if not names and not self.beside:
            return self
        wider = more or (self.widened and getattr(config, self.widened))
        sketch = None if wider else self.sketch  # it knows nothing of the names that users add
        beside = by_package(self.beside)
        near = (needle for package in beside.keys() & facts.packages for needle in beside[package])
        text = (*self.text, *map(str.encode, facts.written(names)), *near)
        found = self._replace(text=text, names=(), option="", beside=(), sketch=sketch)
        return found if found._asks else None

    def needs(self, config: Config) -> tuple[Need, ...]:
        """What a file must hold one of, whatever it imports; nothing where the needles ask for nothing."""
        return (
            *(
                need(needle)
                for needle in (*self.text, *self.loop_text, *(shown.needle for shown in self.shown))
            ),
            *(MARKED[mark] for mark in self.marks),
            *named((*self.names, *self._more(config))),
            *(need(needle, package) for package, needle in self.beside),
        )

    def _more(self, config: Config) -> tuple[str, ...]:
        """The names that users add."""
        return getattr(config, self.option) if self.option else ()

    @property
    def _asks(self) -> bool:
        """Whether it looks for anything in particular."""
        return bool(self.text or self.shown or self.marks or self.loop_text)

    def admits_imports(self, facts: Written) -> bool:
        return not self.imports or not facts.packages.isdisjoint(self.imports)

    def admitted(self, facts: Facts) -> set[Region]:
        """The regions that hold one of the needles where it counts, or one of the marks."""
        found = self._held(facts) if self._asks else self._open(facts)
        for word in self.within if found else ():
            found &= facts.spots(word).any
        return found

    def _open(self, facts: Facts) -> set[Region]:
        return {item for item in facts.every if (item.loops if self._looped(item) else item.parts)}

    def _held(self, facts: Facts) -> set[Region]:
        found = {region for mark in self.marks for region in facts.marked.get(mark, ())}
        for spots in (*map(facts.spots, self.text), *map(facts.spots, self.shown)):
            found |= spots.looped if self.loop else spots.inner if self.inner else spots.any
        return found.union(*(facts.spots(needle).looped for needle in self.loop_text))

    def _looped(self, region: Region) -> bool:
        return self.loop or (self.inner and not region.function)
