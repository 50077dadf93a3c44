"""What the rules about HTTP clients rest on: hosts, searches, callers, mocks, isolation, free names."""

import libcst as cst
import pytest
from regions import call, context, loop

from perflint.analysis.connections.callers import called_per_item, plain_calls
from perflint.analysis.connections.clients import CALLS, HTTPX, REQUESTS, SESSIONS
from perflint.analysis.connections.hosts import first_that_works, host, hosts_asked, url_of
from perflint.analysis.connections.isolation import on_demand, personal
from perflint.analysis.connections.mocks import mocked
from perflint.analysis.database.items import per_item
from perflint.analysis.database.statements import bound_in

HEAD = "import requests, httpx, time\nBASE = 'https://example.com'\n"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("u", "unknown"),
        ("u.link", "unknown"),
        ("u['link']", "unknown"),
        ("u.server_url", "varies"),
        ("u['host']", "varies"),
        ("base + u", "same"),
        ("BASE + '/' + u", "same"),
        ("f'{base}/{u}'", "same"),
        ("f'https://example.com/{u}'", "same"),
        ("f'https://{u}.example.com/'", "varies"),
        ("f'https://{base}:{u}/'", "varies"),
        ("'https://' + u", "varies"),
        ("f'{u}/health'", "varies"),
        ("f'{u}?page=1'", "unknown"),
        ("'https://example.com/%s' % u", "same"),
        ("'https://%s/' % u", "varies"),
        ("'https://{}/'.format(u)", "varies"),
        ("'https://{}/{}'.format(base, u)", "same"),
        ("'{}'.format(u)", "unknown"),
        ("'{base}/{u}'.format(u=u, base=base)", "same"),
        ("'{a}/{b}'.format(a=u, b=base)", "varies"),
        ("'%(a)s/x' % {'a': u}", "varies"),
        ("urljoin(base, u)", "same"),
        ("str(u)", "unknown"),
        ("there", "same"),
        ("elsewhere", "varies"),
        ("'/path/' + u", "same"),
    ],
)
def test_whether_the_host_changes_with_the_item(url: str, expected: str) -> None:
    code = f"""
def f(items, base):
    for u in items:
        there = f"https://example.com/{{u}}"
        elsewhere = f"https://{{u}}/"
        requests.get({url})
"""
    found = context(HEAD + code, "f")
    assert host(found, url_of(call(found, "requests.get")), bound_in(loop(found))) == expected


def test_a_variable_that_names_a_place() -> None:
    found = context(HEAD + "def f(hosts):\n    for host in hosts:\n        requests.get(host)\n", "f")
    assert host(found, url_of(call(found, "requests.get")), {"host"}) == "varies"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("r = requests.get(u)\n        if r.ok:\n            break", True),
        ("r = requests.get(u)\n        if r.status_code == 200:\n            return r", True),
        ("r = requests.get(u)\n        if r.status_code == requests.codes.ok:\n            return r", True),
        ("r = requests.get(u)\n        if r.status_code != 200:\n            break", False),
        ("r = requests.get(u)\n        if not r.ok:\n            break", False),
        ("r = requests.get(u)\n        if r.text:\n            break", False),
        ("try:\n            return requests.get(u)\n        except OSError:\n            pass", True),
        ("requests.get(u)", False),
    ],
)
def test_searches_for_the_first_that_answers(body: str, expected: bool) -> None:
    found = context(HEAD + f"def f(urls):\n    for u in urls:\n        {body}\n", "f")
    assert first_that_works(found, call(found, "requests.get"), loop(found)) is expected


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("[fetch(u) for u in urls]", True),
        ("g(*(fetch(u) for u in urls))", True),
        ("pool.map(fetch, urls)", True),
        ("[pool.submit(fetch, u) for u in urls]", True),
        ("for u in urls:\n        x = u.strip()\n        fetch(x)", True),
        ("for attempt in range(3):\n        fetch(attempt)", False),
        ("for u in urls:\n        fetch(base)", False),
        ("fetch(base)", False),
        ("for u in urls:\n        def g():\n            fetch(u)", False),
    ],
)
def test_functions_that_are_called_per_item(use: str, expected: bool) -> None:
    found = context(
        f"def fetch(u):\n    mark()\ndef caller(urls, pool, base, g):\n    {use}\n    return urls\n", "fetch"
    )
    function = found.objects.definition(found.tree.root)
    assert called_per_item(found, function) is expected


def test_calls_in_a_row() -> None:
    found = context(
        "def f(a):\n    one()\n    if a:\n        no()\n    with a:\n        two(three())\n    for x in a:\n        no()\n",
        "f",
    )
    names = [found.tree.code(item.func) for item in plain_calls(found, found.tree.root.body)]
    assert names == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import responses", True),
        ("from unittest.mock import patch\npatch('app.requests.get')", True),
        ("def t(monkeypatch):\n    monkeypatch.setattr(requests, 'get', None)", True),
        ("def t(monkeypatch):\n    monkeypatch.setattr(httpx, 'get', None)", False),
        ("requests.patch('requests')", False),
        ("", False),
    ],
)
def test_files_that_put_something_in_the_place_of_the_functions(code: str, expected: bool) -> None:
    assert mocked(context(HEAD + code), REQUESTS) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("s = requests.Session()\n        s.get(BASE)", False),
        ("s = requests.Session()\n        s.auth = u.auth", True),
        ("s = requests.Session()\n        s.headers.update(u.headers)", True),
        ("s = requests.Session()\n        s.headers['a'] = 'b'", False),
        ("s = requests.Session()\n        print(s.cookies)", True),
        ("s = requests.Session()\n        s.post(BASE + '/login')", True),
        ("with httpx.Client(cookies=u) as s:\n            s.get(BASE)", True),
    ],
)
def test_clients_that_belong_to_one_item(body: str, expected: bool) -> None:
    found = context(HEAD + f"def f(users):\n    for u in users:\n        {body}\n", "f")
    made = call(found, "httpx.Client" if "httpx" in body else "requests.Session()")
    assert personal(found, made, {"u"}) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("if not session:\n        mark()", True),
        ("return self.client or mark()", True),
        ("if wanted:\n        mark()", False),
        ("mark()", False),
    ],
)
def test_clients_that_are_made_on_demand(body: str, expected: bool) -> None:
    found = context(f"def f(self, session, wanted):\n    {body}\n", "f")
    assert on_demand(found, call(found, "mark()")) is expected


def test_the_hosts_of_a_clients_requests() -> None:
    code = "def f(url):\n    with requests.Session() as s:\n        s.get(BASE + '/a')\n        s.request('GET', url)\n"
    found = context(HEAD + code, "f")
    assert hosts_asked(found, call(found, "Session()"), found.tree.root) == {"same", "unknown"}


@pytest.mark.parametrize(
    ("pause", "expected"),
    [("time.sleep(1)", True), ("time.sleep(0.5)", True), ("time.sleep(5)", False), ("time.sleep(n)", False)],
)
def test_short_pauses_make_no_poll(pause: str, expected: bool) -> None:
    found = context(HEAD + f"def f(urls, n):\n    for u in urls:\n        mark()\n        {pause}\n", "f")
    node = call(found, "mark")
    assert (per_item(found, node, 5) is not None) is expected
    assert per_item(found, node) is None


def test_what_clients_are() -> None:
    assert CALLS["httpx.get"] is HTTPX and "urllib3.request" not in CALLS
    assert SESSIONS["requests.Session"] is REQUESTS


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f(a):\n    mark(a)", True),
        ("def f(session):\n    mark(session)", False),
        ("def f():\n    mark(session)", False),
        ("def f():\n    mark()\n    def g():\n        return session", False),
        ("session = 1\ndef f():\n    mark()", False),
        ("import session\ndef f():\n    mark()", False),
        ("from a import *\ndef f():\n    mark()", False),
        ("def g(session):\n    pass\ndef f():\n    mark()", True),
    ],
)
def test_names_that_a_fix_may_bind(code: str, expected: bool) -> None:
    found = context(code + "\n", "f")
    node = call(found, "mark")
    assert isinstance(node, cst.Call)
    assert found.names.free("session", found.scope(node)) is expected
