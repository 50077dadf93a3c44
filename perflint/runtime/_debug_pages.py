"""The pages of the debug server for a person with a browser: plain HTML, no scripts, nothing from elsewhere."""

from __future__ import annotations

from functools import lru_cache

from ._debug_heap import COST
from ._debug_http import HTML, Response
from ._flame import Box, flame_boxes, flame_svg
from ._sampler import MOST_HZ, MOST_SECONDS, CPUProfile, hottest

_STYLE = """
:root { color-scheme: light dark; --text: #1a1a1a; --back: #fff; --line: #bbb; --link: #0b57d0;
  --c0: #ffd9b3; --c1: #ffe9a8; --c2: #ffc9c2; --c3: #d9ecc4; --c4: #cfe3f7; --c5: #e6d6f2; }
@media (prefers-color-scheme: dark) { :root { --text: #eee; --back: #161616; --line: #555; --link: #8ab4f8;
  --c0: #6b4423; --c1: #5f5118; --c2: #6e3530; --c3: #3d5527; --c4: #28486a; --c5: #513a63; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 1rem auto;
  max-width: 75rem; padding: 0 1rem; }
a { color: var(--link); } nav { display: flex; flex-wrap: wrap; column-gap: 1rem; }
pre, td { font: 13px/1.45 ui-monospace, monospace; } pre { overflow-x: auto; }
fieldset { border: 1px solid var(--line); margin: 1rem 0; min-width: 0; } form { display: inline-block; margin: .25rem 1rem .25rem 0; }
input { width: 5em; } input[type=checkbox] { width: auto; } input, button { font: inherit; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .1rem .75rem .1rem 0; }
td:first-child, td:nth-child(2) { text-align: right; }
.flame { border: 1px solid var(--line); } .flame rect { stroke: var(--back); }
.flame text { font: 12px ui-monospace, monospace; fill: var(--text); }
.flame a:focus-visible { outline: none; } .flame a:focus-visible rect { stroke: var(--text); stroke-width: 3; }
.c0 { fill: var(--c0); } .c1 { fill: var(--c1); } .c2 { fill: var(--c2); }
.c3 { fill: var(--c3); } .c4 { fill: var(--c4); } .c5 { fill: var(--c5); }
"""
_VIEWS = ("threads", "tasks", "gc", "vars", "heap", "heap/diff")
_TABLE_ROWS = 30


def page(title: str, body: str, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """`body` is HTML; `title` is text."""
    from html import escape

    nav = "".join(f'<a href="/debug/{name}">{name}</a>' for name in ("", "profile/last", *_VIEWS) if name)
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f'<style>{_STYLE}</style></head><body><nav><a href="/debug/">overview</a>{nav}</nav>'
        f"<main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )
    return Response(status, HTML, text, (("Content-Security-Policy", _policy()), *headers))


def text_page(
    title: str, text: str, status: int = 200, headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    from html import escape

    return page(title, f"<pre>{escape(text)}</pre>", status, headers)


def index_page(facts: str, allow_profile: bool) -> Response:
    """What there is to see, and the buttons; `facts` is text about the process."""
    from html import escape

    limits = "" if allow_profile else "<p>Profiles and tracing are off: serve_debug(allow_profile=False).</p>"
    profile = f"""<fieldset><legend>CPU profile of all threads</legend><form action="/debug/profile">
<label>seconds <input name="seconds" type="number" min="0.1" max="{MOST_SECONDS:.0f}" step="any" value="5"></label>
<label>looks per second <input name="hz" type="number" min="1" max="{MOST_HZ}" value="100"></label>
<label><input name="waiting" type="checkbox" value="1"> also threads that wait</label>
<button>Profile</button></form><p>The answer comes when the seconds are over.</p></fieldset>"""
    heap = f"""<fieldset><legend>Memory</legend>
<form method="post" action="/debug/heap/start"><label>frames
<input name="frames" type="number" min="1" max="25" value="1"></label> <button>Start tracing</button></form>
<form method="post" action="/debug/heap/mark"><button>Mark</button></form>
<form method="post" action="/debug/heap/stop"><button>Stop tracing</button></form>
<p>{COST} <a href="/debug/heap">Largest</a> · <a href="/debug/heap/diff">grown since the mark</a></p></fieldset>"""
    return page("Debug", limits + profile + heap + f"<pre>{escape(facts)}</pre>")


def flame_page(profile: CPUProfile, zoom: int) -> Response:
    """The flame view, and the same as a table."""
    boxes = flame_boxes(profile)
    widest = boxes[zoom] if 0 <= zoom < len(boxes) else boxes[0]
    if not profile.total:
        view = "<p>No thread was running. Profile while there is work, or tick “also threads that wait”.</p>"
    else:
        view = _way_up(widest) + flame_svg(widest, profile.total, lambda number: f"?zoom={number}")
    note = (
        f"<p>{profile.total} samples of running threads in {profile.looks} looks during {profile.seconds:.1f} s; "
        f"{profile.idle} of waiting ones left out. "
        '<a href="/debug/profile/last?format=speedscope">speedscope file</a> · '
        '<a href="/debug/profile/last?format=text">collapsed stacks</a></p>'
    )
    return page("CPU profile", note + view + _hottest_table(profile))


def _way_up(widest: Box) -> str:
    from html import escape

    links = [f'<a href="?zoom={box.number}">{escape(box.name)}</a>' for box in widest.path()]
    return f"<p>{' › '.join([*links, escape(widest.name)])}</p>" if links else ""


def _hottest_table(profile: CPUProfile) -> str:
    from html import escape

    total = max(1, profile.total)
    rows = [
        f"<tr><td>{own / total:.1%}</td><td>{whole / total:.1%}</td><td>{escape(str(frame))}</td></tr>"
        for frame, own, whole in hottest(profile)[:_TABLE_ROWS]
    ]
    head = "<tr><th>itself</th><th>with what it calls</th><th>function</th></tr>"
    return f"<h2>Functions</h2><table>{head}{''.join(rows)}</table>"


@lru_cache(maxsize=1)
def _policy() -> str:
    """No scripts, no frames, nothing from elsewhere; the style by its hash."""
    import base64
    import hashlib

    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
