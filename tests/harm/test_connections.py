"""What the rules about HTTP warn of happens on loopback, and the cure ends it."""

import pytest
from programs import fixed, run

pytest.importorskip("requests")
pytest.importorskip("httpx")

# A server that keeps connections open, counts them, and closes down with the program.
SERVER = """
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

counted = [0]

class Handler(BaseHTTPRequestHandler):
    protocol_version, disable_nagle_algorithm, wbufsize = "HTTP/1.1", True, -1

    def setup(self):
        super().setup()
        counted[0] += 1

    def do_GET(self):
        body = b"x" * (1_000_000 if "large" in self.path else 2)
        try:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            pass

    def log_message(self, *args):
        pass

class Server(ThreadingHTTPServer):
    daemon_threads, block_on_close = True, False

    def handle_error(self, request, client_address):
        pass

server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}"
urls = [f"{base}/{number}" for number in range(10)]
"""


def connections(program: str) -> int:
    ended = run(program)
    assert ended.code == 0, ended.err
    return int(ended.out.split()[-1])


LOOP = """
import requests

def load(urls):
    found = []
    for url in urls:
        found.append(requests.get(url, timeout=5).text)
    return found
""" + SERVER + """
assert load(urls) == ["xx"] * 10
print(counted[0])
"""  # fmt: skip


def test_a_loop_without_a_session_connects_each_time() -> None:
    """The other libraries, and the other kinds of client below: tests/equivalence/test_sessions.py."""
    assert connections(LOOP) == 10
    assert connections(fixed("PRF601", LOOP)) == 1


def test_the_runtime_session_connects_once() -> None:
    assert connections(fixed("PRF601", LOOP, runtime_fixes=True)) == 1


def test_urllib3_keeps_connections_by_itself() -> None:
    pytest.importorskip("urllib3", "2.0")
    program = LOOP.replace("import requests", "import urllib3")
    program = program.replace(
        "requests.get(url, timeout=5).text", "urllib3.request('GET', url).data.decode()"
    )
    assert connections(program) == 1


MAPPED = """
from concurrent.futures import ThreadPoolExecutor
import requests
{imports}
""" + SERVER + """
with ThreadPoolExecutor(2) as pool:
    assert len(list(pool.map({get}, urls))) == 10
print(counted[0])
"""  # fmt: skip


def test_threads_that_share_the_work_connect_once_each_with_a_session_of_their_own() -> None:
    bad = MAPPED.replace("{imports}", "").replace("{get}", "requests.get")
    own = "from perflint.runtime import shared_session"
    good = MAPPED.replace("{imports}", own).replace("{get}", "lambda url: shared_session().get(url)")
    assert connections(bad) == 10
    assert connections(good) <= 2


CLIENT = "with httpx.Client() as client:\n            found.append(client.get(url).text)"


def test_a_client_per_item_connects_each_time() -> None:
    program = LOOP.replace("found.append(requests.get(url, timeout=5).text)", CLIENT)
    program = program.replace("import requests", "import httpx")
    assert connections(program) == 10
    assert connections(fixed("PRF602", program)) == 1


ASYNC = """
import asyncio
import aiohttp

async def load(urls):
    found = []
    for url in urls:
        async with aiohttp.ClientSession() as client:
            async with client.get(url) as answer:
                found.append(await answer.text())
    return found
""" + SERVER + """
assert asyncio.run(load(urls)) == ["xx"] * 10
print(counted[0])
"""  # fmt: skip


def test_an_asynchronous_client_per_item_connects_each_time() -> None:
    pytest.importorskip("aiohttp")
    assert connections(ASYNC) == 10
    assert connections(fixed("PRF602", ASYNC)) == 1


SILENT = """
import socket, threading
listener = socket.create_server(("127.0.0.1", 0))  # accepts, and never answers
url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

def load(url):
    {call}

try:
    load(url)
except Exception as error:
    print(type(error).__name__)
"""
WAITING = {
    "requests": ("import requests", "return requests.get(url)", "ReadTimeout"),
    "session": (
        "import requests",
        "with requests.Session() as session:\n        return session.get(url)",
        "ReadTimeout",
    ),
    "urlopen": ("from urllib.request import urlopen", "return urlopen(url)", "TimeoutError"),
    "httpx": ("import httpx", "return httpx.get(url, timeout=None)", "ReadTimeout"),
    "partial": ("import functools, requests", "return functools.partial(requests.get, url)()", "ReadTimeout"),
}


@pytest.mark.parametrize(("head", "call", "error"), WAITING.values(), ids=WAITING)
def test_a_server_that_never_answers_holds_a_request_without_a_timeout(
    head: str, call: str, error: str
) -> None:
    program = head + SILENT.replace("{call}", call)
    assert run(program, 2).code is None
    ended = run(fixed("PRF604", program, default_timeout=1))
    assert (ended.code, ended.out.strip()) == (0, error), ended.err


def test_the_default_of_sockets_does_not_reach_requests() -> None:
    program = "import requests\n" + SILENT.replace("{call}", "return requests.get(url)")
    program = program.replace("def load", "socket.setdefaulttimeout(0.5)\n\ndef load")
    assert run(program, 2).code is None


UNREAD = """
import requests
""" + SERVER + """
def alive(session: requests.Session, url):
    response = session.get(url, stream=True, timeout=5)
    return response.status_code == 200

kept = requests.Session()
kept.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=1, pool_block={block}))
{use}
print(counted[0])
"""  # fmt: skip


def test_a_status_alone_takes_the_connection_along() -> None:
    program = UNREAD.replace("{block}", "False")
    program = program.replace("{use}", "assert all(alive(kept, url) for url in urls)")
    read = program.replace("    return response", "    response.content\n    return response")
    assert connections(program) == 10
    assert connections(read) == 1


def test_what_is_held_unread_starves_a_pool_with_a_bound() -> None:
    program = UNREAD.replace("{block}", "True").replace(
        "    return response.status_code == 200", "    return response"
    )
    program = program.replace("{use}", "held = [alive(kept, url) for url in urls]")
    assert run(program, 2).code is None
    closed = program.replace("    return response", "    response.close()\n    return response")
    assert run(closed).code == 0


OPEN = """
import gc, os
gc.disable()
import requests
""" + SERVER + """
def first(url):
    response = requests.get(url, stream=True, timeout=5)
    for chunk in response.iter_content(10):
        if chunk:
            failed = ValueError("kept, with the frame and so the response")
            break
    try:
        raise failed
    except ValueError as error:
        return error

errors = [first(base + "/large") for _ in range(10)]
print(len(os.listdir("/proc/self/fd")))
"""  # fmt: skip


def test_what_a_kept_frame_holds_stays_open() -> None:
    pytest.importorskip("resource")
    before = run(OPEN)
    after = run(fixed("PRF605", OPEN))
    if before.code or after.code:
        pytest.skip("needs /proc")
    assert int(before.out) - int(after.out) >= 7
