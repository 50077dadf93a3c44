"""Who can reach an address: everybody, this machine, or nobody knows."""

from __future__ import annotations

import re
from typing import Literal

from perflint.analysis.exposure.values import UNKNOWN

Reach = Literal["public", "local", "unknown"]

_PUBLIC = re.compile(r"^(\[?::\]?|0\.0\.0\.0|0|\*|)(:\d+)?$")
_LOCAL = re.compile(r"^(127(\.\d+){3}|localhost|\[?::1\]?)(:\d+)?$|^unix:|^/", re.I)


def reach(host: object) -> Reach:
    """Who reaches a server that binds to this: a text such as `0.0.0.0` or `[::]:80`, or UNKNOWN.

    None is unknown here: what it stands for depends on the server.
    """
    if host is UNKNOWN or not isinstance(host, str):
        return "unknown"
    text = host.strip()
    if _PUBLIC.match(text):
        return "public"
    return "local" if _LOCAL.match(text) else "unknown"
