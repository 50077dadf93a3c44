"""Files made up to be large or awkward: what a program writes rather than a person. Each takes a size and gives the text."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle

_PLAIN = '''
class Account{0}:
    """One of many."""

    def __init__(self, name, limit=100):
        self.name = name
        self.limit = limit
        self.entries = {{}}

    def book(self, key, amount):
        if amount > self.limit:
            raise ValueError(f"{{self.name}}: {{amount}} is over {{self.limit}}")
        self.entries[key] = self.entries.get(key, 0) + amount
        return self.entries[key]

    def balance(self):
        total = 0
        for amount in self.entries.values():
            total += amount
        return total


def report_{0}(accounts, out):
    for number, account in enumerate(accounts):
        if account.balance() < 0:
            out.write("%s: %d\\n" % (account.name, number))
        elif account.limit:
            out.write(account.name + "\\n")
    return len(accounts)

'''
_FOUND = """
def names_{0}(accounts):
    found = []
    for account in accounts:
        found.append(account.name)
    return found

"""


def ordinary(lines: int, found: bool = True) -> str:
    """So many lines of classes and functions, one in three of them with an append loop where something may be found."""
    text: list[str] = []
    for number, form in enumerate(cycle((_PLAIN, _FOUND, _PLAIN) if found else (_PLAIN,))):
        block = form.format(number).splitlines(keepends=True)
        if len(text) + len(block) > lines:
            break
        text += block
    return "".join([*text, *["LIMIT = 100\n"] * (lines - len(text))])


def long_line(size: int) -> str:
    """One line of so many bytes: a list of calls."""
    calls = "".join(f"f({number}), " for number in range(size // 8))
    return f"x = [{calls[: size - 7].rpartition(',')[0]}]\n"


def long_string(size: int) -> str:
    """One line of so many bytes: a text full of what gates look for, in a loop."""
    return f"def f(xs):\n    s = ''\n    for x in xs:\n        s += '{'+= .append( ' * (size // 12)}'\n    return s\n"


def branches(count: int) -> str:
    """An `elif` chain: nested blocks, as far as Python's grammar is concerned."""
    chain = "".join(f"    elif x == {number}:\n        return {number}\n" for number in range(count))
    return f"def f(x):\n    if x is None:\n        return 0\n{chain}"


def blocks(count: int) -> str:
    """So many blocks inside each other; Python itself refuses more than 99."""
    nested = "".join(f"{' ' * level}if x:\n" for level in range(count))
    return f"{nested}{' ' * count}pass\n"


def additions(count: int) -> str:
    """So many `+=` lines in one function."""
    return "def f(a):\n    s = ''\n" + "    s += a\n" * count + "    return s\n"


def additions_in_loop(count: int) -> str:
    """So many `+=` lines in the body of one loop."""
    body = "        s += x\n" * count
    return f"def f(xs):\n    s = ''\n    for x in xs:\n{body}    return s\n"


def literal(count: int) -> str:
    """A list of so many numbers, in a function with a finding."""
    items = "".join(f"        {number},\n" for number in range(count))
    return f"def f(ys):\n    out = []\n    for y in ys:\n        out.append(y + 1)\n    x = [\n{items}    ]\n    return out, x\n"


def functions(count: int) -> str:
    """So many functions with an append loop each."""
    form = "def f{0}(xs):\n    out = []\n    for x in xs:\n        out.append(x + {0})\n    return out\n\n\n"
    return "".join(form.format(number) for number in range(count))


def loops(count: int) -> str:
    """So many append loops in one function."""
    form = "    out{0} = []\n    for x in xs:\n        out{0}.append(x + {0})\n"
    return "def f(xs):\n" + "".join(form.format(number) for number in range(count))


def module_loops(count: int) -> str:
    """So many append loops at the top of a module."""
    form = "out{0} = []\nfor x in xs:\n    out{0}.append(x + {0})\n"
    return "xs = []\n" + "".join(form.format(number) for number in range(count))


def attributes(count: int) -> str:
    """So many methods of one class, each with a loop that adds to an attribute of its own: each asks what the class sets it to."""
    form = "    def f{0}(self, xs):\n        for x in xs:\n            self.t{0} += x\n\n"
    return "class A:\n" + "".join(form.format(number) for number in range(count))


def workers(count: int) -> str:
    """So many classes that start a thread and wait: each asks what its attributes are, and who starts its function."""
    form = """
def work{0}(queue):
    while True:
        try:
            queue.get()
        except Exception:
            pass


class Worker{0}:
    def run(self):
        self.jobs{0} = Queue()
        self.ended{0}.wait(1)
        threading.Thread(target=work{0}, args=(self.jobs{0},)).start()

"""
    return "import threading\nfrom queue import Queue\n\n" + "".join(
        form.format(number) for number in range(count)
    )


# name -> the shape, what its size counts, and the size it must stand
AWKWARD: dict[str, tuple[Callable[[int], str], str, int]] = {
    "one line": (long_line, "bytes in one line", 5_000_000),
    "one string": (long_string, "bytes in one string", 5_000_000),
    "branches": (branches, "`elif` branches", 1_000),
    "nested blocks": (blocks, "nested blocks", 1_000),
    "additions": (additions, "`+=` lines in one function", 1_000_000),
    "additions in a loop": (additions_in_loop, "`+=` lines in one loop", 100_000),
    "literal": (literal, "elements of one literal", 50_000),
    "functions": (functions, "functions with append loops", 10_000),
    "loops": (loops, "append loops in one function", 10_000),
    "module loops": (module_loops, "append loops in a module", 10_000),
    "attributes": (attributes, "methods that grow an attribute each", 10_000),
    "workers": (workers, "classes that start a thread each", 1_000),
}
