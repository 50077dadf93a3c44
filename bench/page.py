"""What the scripts that put figures into a page of the documentation share."""

from __future__ import annotations

import argparse
import platform
from pathlib import Path


def parser(text: str | None, rounds: int | None = None) -> argparse.ArgumentParser:
    """A command line with `--write PAGE`, and with `--rounds N` where a default is given; `text` is its help."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    if rounds is not None:
        made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument("--write", type=Path, metavar="PAGE", help="replace the figures in this page")
    return made


def machine() -> str:
    """Where figures come from: the version of Python, the processor and the system."""
    return f"Python {platform.python_version()}, {platform.machine()} {platform.system()}"


def publish(figures: str, begin: str, end: str, page: Path | None) -> None:
    """Print the figures; with a page, put them between its two marks, too."""
    print(figures)
    if page is not None:
        write(page, begin, end, figures)


def write(page: Path, begin: str, end: str, figures: str) -> None:
    """Replace what stands between two marks."""
    head, rest = page.read_text(encoding="utf-8").split(begin)
    page.write_text(f"{head}{begin}\n{figures}\n{end}{rest.split(end)[1]}", encoding="utf-8")
