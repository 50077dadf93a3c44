"""What the debug rules warn of happens, and the cure ends it. All addresses are patched to loopback."""

import pytest
from programs import fixed, run

pytest.importorskip("flask")

# Flask's server for one request each: prints the address that was asked for, and what visitors get.
VISIT = """
import logging, threading, urllib.error, urllib.request
import werkzeug.serving
from werkzeug.debug import DebuggedApplication

logging.getLogger("werkzeug").setLevel(logging.ERROR)

def visit(app, *paths):
    server = werkzeug.serving.make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        for path in paths:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{path}", timeout=10) as answer:
                    print(path, answer.status, answer.read().decode())
            except urllib.error.HTTPError as error:
                with error:
                    print(path, error.code, error.read().decode())
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
"""

DEBUG_SERVER = (
    VISIT
    + """
def run_simple(host, port, app, use_debugger=False, **options):
    print("bound to", host)
    visit(DebuggedApplication(app, evalex=True) if use_debugger else app, "/")

werkzeug.serving.run_simple = run_simple
"""
)
APP = """
from flask import Flask

app = Flask(__name__)

@app.get("/")
def index():
    password = "hunter2"
    raise ValueError(password)
"""


def test_a_debug_server_shows_tracebacks_and_a_console_on_every_address() -> None:
    bad = APP + 'app.run(host="0.0.0.0", debug=True)\n'
    ended = run(DEBUG_SERVER + bad)
    assert "bound to 0.0.0.0" in ended.out, ended
    assert "hunter2" in ended.out and "EVALEX = true" in ended.out
    cured = run(DEBUG_SERVER + fixed("PRF701", bad))
    assert "bound to 127.0.0.1" in cured.out and "0.0.0.0" not in cured.out, cured


def test_without_debug_mode_visitors_see_nothing() -> None:
    ended = run(DEBUG_SERVER + APP + 'app.run(host="0.0.0.0", debug=False)\n')
    assert "500" in ended.out and "hunter2" not in ended.out, ended


HEAP = """
import tracemalloc
from flask import Flask

tracemalloc.start()
app = Flask(__name__)

@app.get("/debug/heap")
def heap():
    return [str(line) for line in tracemalloc.take_snapshot().statistics("lineno")[:20]]

visit(app, "/debug/heap")
"""
BESIDE = """
import urllib.request
from flask import Flask
from perflint.runtime import serve_debug

app = Flask(__name__)
visit(app, "/debug/heap", "/debug/")

with serve_debug(0) as server:
    assert server.url.startswith("http://127.0.0.1:"), server.url
    with urllib.request.urlopen(f"{server.url.rstrip('/')}", timeout=10) as answer:
        print("debug port", answer.status)
"""


def test_a_debug_route_tells_visitors_where_the_program_allocates() -> None:
    ended = run(VISIT + HEAP)
    assert "/debug/heap 200" in ended.out and ".py:" in ended.out, ended


def test_serve_debug_is_no_part_of_the_application() -> None:
    ended = run(VISIT + BESIDE)
    assert "/debug/heap 404" in ended.out and "/debug/ 404" in ended.out, ended
    assert "debug port 200" in ended.out


# A stand-in with the protocol of the real ones: pdb on a socket. It binds what it is told, on loopback.
REMOTE_PDB = """
import pdb, socket, sys, threading, types

class RemotePdb:
    def __init__(self, host, port):
        print("bound to", host)
        self.listener = socket.create_server(("127.0.0.1", 0))

    def set_trace(self):
        threading.Thread(target=attack, args=[self.listener.getsockname()], daemon=True).start()
        connection, _ = self.listener.accept()
        heard, said = connection.makefile("r"), connection.makefile("w")  # one for both would forget what it read ahead
        debugger = pdb.Pdb(stdin=heard, stdout=said, nosigint=True, readrc=False)
        debugger.use_rawinput = False
        debugger.set_trace(sys._getframe().f_back)

def attack(address):
    with socket.create_connection(address) as stranger:
        stranger.sendall(b"!print('ran', secret, file=__import__('sys').__stdout__, flush=True)\\n!__import__('os')._exit(0)\\n")
        while stranger.recv(4096):
            pass

remote_pdb = types.ModuleType("remote_pdb")
remote_pdb.RemotePdb = RemotePdb
sys.modules["remote_pdb"] = remote_pdb
"""
DEBUGGED = """
from remote_pdb import RemotePdb

def work():
    secret = "hunter2"
    debugger = RemotePdb("0.0.0.0", 0)
    debugger.set_trace()

work()
"""


def test_whoever_reaches_a_remote_debugger_runs_code() -> None:
    ended = run(REMOTE_PDB + DEBUGGED)
    assert "bound to 0.0.0.0" in ended.out and "ran hunter2" in ended.out, ended
    cured = run(REMOTE_PDB + fixed("PRF703", DEBUGGED))
    assert "bound to 127.0.0.1" in cured.out, cured


MIDDLEWARE = """
app.wsgi_app = DebuggedApplication(app.wsgi_app, evalex=True)
visit(app, "/console")
"""
GUARDED = """
if app.debug:
    app.wsgi_app = DebuggedApplication(app.wsgi_app, evalex=True)
visit(app, "/console")
"""


def test_the_middleware_opens_a_console_to_visitors() -> None:
    bad, good = run(VISIT + APP + MIDDLEWARE), run(VISIT + APP + GUARDED)
    assert "/console 200" in bad.out and "EVALEX = true" in bad.out, bad
    assert "/console 404" in good.out and "EVALEX" not in good.out, good


PLAIN = """
def app(environ, start_response):
    password = "hunter2"
    raise ValueError(password)

visit(DebuggedApplication(app), "/")
"""


def test_the_middleware_shows_visitors_the_errors_that_reach_it() -> None:
    ended = run(VISIT + PLAIN)
    assert "/ 500" in ended.out and "hunter2" in ended.out, ended


LEAK = """
import gc

{start}

class Node:
    def __init__(self):
        self.me = self

for _ in range(1000):
    Node()
gc.collect()
print("kept", sum(isinstance(item, Node) for item in gc.garbage))
gc.set_debug(0)
gc.garbage.clear()
"""


def test_saveall_keeps_every_cycle() -> None:
    assert "kept 1000" in run(LEAK.format(start="gc.set_debug(gc.DEBUG_SAVEALL)")).out
    assert "kept 0" in run(LEAK.format(start="")).out


TRACED = """
import tracemalloc
import os

{start}

rows = [{{"id": i}} for i in range(10_000)]
print("notes", tracemalloc.get_tracemalloc_memory() > 1_000_000)
"""


def test_tracemalloc_notes_every_allocation_until_it_is_stopped() -> None:
    assert "notes True" in run(TRACED.format(start="tracemalloc.start()")).out
    guarded = 'if os.getenv("PERFLINT_TRACE_MEMORY"): tracemalloc.start()'
    assert "notes False" in run(TRACED.format(start=guarded)).out
