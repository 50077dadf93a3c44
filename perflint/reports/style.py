"""How text looks on this terminal, and how anything from a file is made safe to print."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}


class Style(NamedTuple):
    """`links` makes file names clickable (OSC 8)."""

    colour: bool = False
    links: bool = False

    def paint(self, text: str, *looks: str) -> str:
        if not self.colour:
            return text
        return f"\x1b[{';'.join(_CODES[look] for look in looks)}m{text}\x1b[0m"

    def link(self, text: str, path: str) -> str:
        """`text`, which opens the file where the terminal can."""
        if not self.links:
            return text
        import socket

        uri = Path(path).absolute().as_uri().replace("file://", f"file://{socket.gethostname()}", 1)
        return f"\x1b]8;;{uri}\x1b\\{text}\x1b]8;;\x1b\\"


PLAIN = Style()


def style_for(terminal: bool, environment: Mapping[str, str]) -> Style:
    """Colour on a terminal, unless NO_COLOR is set or TERM is dumb; FORCE_COLOR asks for it anywhere."""
    if environment.get("NO_COLOR"):
        return PLAIN
    terminal = terminal and environment.get("TERM") != "dumb"
    return Style(colour=terminal or bool(environment.get("FORCE_COLOR")), links=terminal)


def escape(text: str) -> str:
    """`text` with everything that a terminal could obey spelled out, as Python would."""
    if text.isprintable():
        return text
    return _unprintable().sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


@cache
def _unprintable() -> re.Pattern[str]:
    """Control characters, lone surrogates (bytes of a path that are no text), and what turns the writing direction."""
    return re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def columns(text: str) -> int:
    """How many columns of a terminal the escaped `text` takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    import unicodedata  # of which plain text knows nothing

    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
