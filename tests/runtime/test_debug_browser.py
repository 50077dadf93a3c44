"""The pages of the debug server in a real browser: headless Chromium, driven by Playwright."""

import os
import shutil
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from debug_client import busy_function, working
from runtime_helpers import LONG

from perflint.runtime import DebugServer, serve_debug

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install '.[test]'")
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = os.environ.get("PERFLINT_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: install Debian's chromium, or name one in PERFLINT_TEST_CHROMIUM"
)

CONTRAST = """() => {
  const parts = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = color => parts(color).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ratio = (one, two) => (Math.max(one, two) + .05) / (Math.min(one, two) + .05);
  const style = (name, what) => getComputedStyle(document.querySelector(name))[what];
  const pairs = [[style('body', 'color'), style('body', 'backgroundColor')],
    [style('a', 'color'), style('body', 'backgroundColor')]];
  for (const box of document.querySelectorAll('.flame a'))
    pairs.push([getComputedStyle(box.querySelector('text')).fill, getComputedStyle(box.querySelector('rect')).fill]);
  return Math.min(...pairs.map(([one, two]) => ratio(light(one), light(two))));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def server() -> Iterator[DebugServer]:
    with serve_debug(0) as server:
        yield server


@pytest.fixture
def open_page(browser: Any, server: DebugServer) -> Iterator[Callable[..., Any]]:
    """Opens pages that must not say a word on the console, nor ask anybody else."""
    said: list[str] = []
    asked: list[str] = []
    contexts = []

    def opened(path: str = "", **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(LONG * 1000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        assert page.goto(server.url + path).status == 200
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not said
    assert asked and not [url for url in asked if not url.startswith((server.url, "data:"))]


def test_the_profile_button_leads_to_the_flame_view(open_page: Callable[..., Any]) -> None:
    with working(busy_function, "worker-7"):
        page = open_page()
        assert page.title() == "Debug"
        page.get_by_label("seconds", exact=True).fill("0.5")
        page.get_by_role("button", name="Profile").click()
        page.wait_for_url("**/debug/profile/last")
    box = page.locator(".flame a", has_text="busy_function").first
    assert box.is_visible() and "samples" in box.get_attribute("aria-label")
    assert box.bounding_box()["width"] > page.locator(".flame").bounding_box()["width"] / 2
    assert "busy_function" in page.locator("table").inner_text()


def test_the_flame_view_by_keyboard(open_page: Callable[..., Any]) -> None:
    with working(busy_function, "worker-7"):
        page = open_page("profile?seconds=0.5")
    boxes = page.locator(".flame a").count()
    page.locator(".flame a").first.focus()
    for _ in range(2):
        page.keyboard.press("Tab")
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert "samples" in focused
    assert (
        page.evaluate("getComputedStyle(document.activeElement.querySelector('rect')).strokeWidth") == "3px"
    )
    page.keyboard.press("Enter")
    page.wait_for_url("**zoom=2")
    assert page.locator(".flame a").first.get_attribute("aria-label") == focused
    assert page.locator(".flame a").count() < boxes
    page.get_by_role("link", name="all threads").click()
    page.wait_for_url("**zoom=0")
    assert page.locator(".flame a").count() == boxes


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(open_page: Callable[..., Any], scheme: str) -> None:
    with working(busy_function):
        page = open_page("profile?seconds=0.3", color_scheme=scheme)
    assert page.evaluate(CONTRAST) >= 4.5
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(22, 22, 22)")


def test_a_narrow_screen(open_page: Callable[..., Any]) -> None:
    page = open_page(viewport={"width": 360, "height": 640})
    for path in ("", "threads", "vars"):
        page.get_by_role("link", name=path or "overview", exact=True).first.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_heap_buttons(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.get_by_role("button", name="Start tracing").click()
    page.wait_for_url("**/debug/heap")
    assert "traced_bytes" in page.locator("pre").inner_text()
    page.get_by_role("link", name="overview").click()
    page.get_by_role("button", name="Mark").click()
    page.wait_for_url("**/debug/heap/diff")
    assert "grown_bytes" in page.locator("pre").inner_text()
    page.go_back()
    page.get_by_role("button", name="Stop tracing").click()
    page.wait_for_url("**/debug/")
    assert not tracemalloc.is_tracing()


def test_all_views(open_page: Callable[..., Any]) -> None:
    page = open_page()
    for name in ("threads", "tasks", "gc", "vars"):
        page.get_by_role("link", name=name, exact=True).click()
        page.wait_for_url(f"**/debug/{name}")
        assert page.locator("h1").inner_text() == name
        assert page.locator("pre").inner_text()


def test_a_token_is_the_password(browser: Any) -> None:
    with serve_debug(0, token="sesame") as server:
        for password, status in (("sesame", 200), ("wrong", 401)):
            context = browser.new_context(http_credentials={"username": "me", "password": password})
            page = context.new_page()
            assert page.goto(server.url).status == status
            if status == 200:
                page.get_by_role("button", name="Start tracing").click()
                page.wait_for_url("**/debug/heap")
            context.close()


@pytest.fixture
def other_site() -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    site = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    yield site.server_port
    site.shutdown()
    thread.join(LONG)
    site.server_close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_of_another_origin_gets_nothing(
    browser: Any, server: DebugServer, other_site: int, host: str
) -> None:
    context = browser.new_context()
    page = context.new_page()
    statuses: list[int] = []
    page.on(
        "response", lambda response: statuses.append(response.status) if server.url in response.url else None
    )
    page.goto(f"http://{host}:{other_site}/")
    read = page.evaluate(f"fetch('{server.url}vars').then(r => r.text()).catch(() => 'nothing')")
    assert read == "nothing"
    page.evaluate(f"fetch('{server.url}heap/start', {{method: 'POST', mode: 'no-cors'}}).catch(() => null)")
    with page.expect_navigation():
        page.evaluate(
            f"""() => {{ const form = document.createElement('form'); form.method = 'post';
            form.action = '{server.url}heap/start'; document.body.append(form); form.submit(); }}"""
        )
    assert "another" in page.inner_text("body")
    page.goto(f"http://{host}:{other_site}/")
    with page.expect_navigation():
        page.evaluate(f"location = '{server.url}vars'")
    context.close()
    assert set(statuses) == {403}
    assert not tracemalloc.is_tracing()
