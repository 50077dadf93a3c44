"""Parts of the files, for several machines that know nothing of each other: `--shard 3/8`.

A file's part follows from its path relative to the root alone, so it is the same on every machine
and Python, and a new file moves no other.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from perflint.model.config import ConfigError


@dataclass(frozen=True)
class Shard:
    """Part `number` (from 1) of `count`."""

    number: int
    count: int

    def holds(self, path: Path, root: Path) -> bool:
        """Whether the file, or folder, belongs to this part; of all parts, exactly one holds it."""
        if self.count == 1:
            return True
        relative = os.path.relpath(path.absolute(), root)
        if relative.startswith(os.pardir):  # named by a link from elsewhere, which may differ by machine
            relative = os.path.relpath(os.path.realpath(path), root)
        name = unicodedata.normalize("NFC", relative.replace(os.sep, "/"))  # some file systems part accents
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1


WHOLE = Shard(1, 1)


def parse(text: str) -> Shard:
    """`3/8` is the third of eight. Raise ConfigError for what is none."""
    if match := re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", text, re.ASCII):
        shard = Shard(int(match[1]), int(match[2]))
        if shard.number <= shard.count:
            return shard
    raise ConfigError(f"--shard {text!r} is no part of a whole; write 1/8 to 8/8 for eight parts")
