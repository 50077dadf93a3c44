"""What the debug server shows: profiles, heap, threads, tasks, the collector; and what it never says."""

import asyncio
import gc
import json
import logging
import threading
import tracemalloc
from collections.abc import Iterator

import pytest
from debug_client import ask, busy_function, working
from runtime_helpers import LONG, until

from perflint.runtime import DebugServer, _debug_views, serve_debug

SECRET = "sesame-open-39"


@pytest.fixture
def server() -> Iterator[DebugServer]:
    with serve_debug(0) as server:
        yield server


def post(server: DebugServer, path: str, **headers: str) -> str:
    answer = ask(server.port, f"/debug/{path}", "POST", **headers)
    assert answer.status == 200, answer
    return answer.text


class TestProfile:
    def test_it_names_the_busy_function_of_a_worker(self, server: DebugServer) -> None:
        idle = threading.Event()
        with working(busy_function, "worker-7"), working(lambda stop: idle.wait(LONG), "idle"):
            found = ask(server.port, "/debug/profile?seconds=1&hz=200&format=json").data
            idle.set()
        total = sum(stack["count"] for stack in found["stacks"])
        busy = sum(
            stack["count"]
            for stack in found["stacks"]
            if stack["thread"] == "worker-7" and any(f["name"] == "busy_function" for f in stack["stack"])
        )
        assert found["looks"] >= 10 and busy > total / 2, found

    def test_waiting_threads_when_asked_for(self, server: DebugServer) -> None:
        def lazy_function(stop: threading.Event) -> None:
            stop.wait(LONG)

        with working(lazy_function):
            without = ask(server.port, "/debug/profile?seconds=0.3").text
            with_them = ask(server.port, "/debug/profile?seconds=0.3&waiting=1").text
        assert "lazy_function" not in without and "lazy_function" in with_them
        assert "perflint-debug" not in with_them  # not the server itself

    def test_collapsed(self, server: DebugServer) -> None:
        with working(busy_function):
            answer = ask(server.port, "/debug/profile?seconds=0.3")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        for line in answer.text.splitlines():
            stack, _, count = line.rpartition(" ")
            assert int(count) > 0 and stack.split(";")[0]
        assert ask(server.port, "/debug/profile/last?format=text").text == answer.text

    def test_speedscope(self, server: DebugServer) -> None:
        with working(busy_function):
            answer = ask(server.port, "/debug/profile?seconds=0.3&format=speedscope")
        assert answer.headers["content-disposition"] == 'attachment; filename="profile.speedscope.json"'
        frames = answer.data["shared"]["frames"]
        for profile in answer.data["profiles"]:
            assert profile["type"] == "sampled" and profile["endValue"] == sum(profile["weights"])
            assert len(profile["samples"]) == len(profile["weights"])
            assert all(0 <= number < len(frames) for sample in profile["samples"] for number in sample)
        assert any(frame["name"] == "busy_function" and frame["line"] > 0 for frame in frames)

    def test_one_at_a_time(self, server: DebugServer) -> None:
        first: list[int] = []
        thread = threading.Thread(
            target=lambda: first.append(ask(server.port, "/debug/profile?seconds=1").status)
        )
        thread.start()
        assert until(_debug_views._profiling.locked)
        answer = ask(server.port, "/debug/profile?seconds=1")
        assert (answer.status, answer.text) == (409, "A profile is being taken; try again when it is done.\n")
        thread.join(LONG)
        assert first == [200]

    def test_a_client_that_leaves_ends_its_profile(self, server: DebugServer) -> None:
        import socket

        with socket.create_connection(("127.0.0.1", server.port), LONG) as client:
            client.sendall(b"GET /debug/profile?seconds=100 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert until(_debug_views._profiling.locked)
        assert until(lambda: not _debug_views._profiling.locked())

    @pytest.mark.parametrize(
        "query",
        [
            "seconds=0",
            "seconds=-1",
            "seconds=121",
            "seconds=x",
            "seconds=nan",
            "seconds=inf",
            "hz=0",
            "hz=1001",
            "hz=1e9",
            "waiting=x",
            "second=1",
            "seconds=1%00",
        ],
    )
    def test_bad_parameters(self, server: DebugServer, query: str) -> None:
        answer = ask(server.port, f"/debug/profile?{query}")
        assert answer.status == 400 and answer.text.count("\n") == 1
        assert ask(server.port, f"/debug/profile?{query}&format=json").data["error"] == answer.text.strip()

    def test_none_yet(self, server: DebugServer) -> None:
        assert ask(server.port, "/debug/profile/last").status == 404

    def test_switched_off(self) -> None:
        with serve_debug(0, allow_profile=False) as server:
            for path, method in (("profile", "GET"), ("heap/start", "POST")):
                answer = ask(server.port, f"/debug/{path}", method)
                assert answer.status == 403 and "serve_debug(allow_profile=False)" in answer.text
            assert "Profiles and tracing are off" in ask(server.port, "/debug/?format=html").text
        assert not tracemalloc.is_tracing()

    def test_the_flame_view(self, server: DebugServer) -> None:
        with working(busy_function, "<b>worker</b>"):
            answer = ask(server.port, "/debug/profile?seconds=0.5", Accept="text/html,*/*")
        assert (answer.status, answer.headers["location"]) == (303, "/debug/profile/last")
        page = ask(server.port, "/debug/profile/last", Accept="text/html,*/*")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "<b>worker" not in page.text and "&lt;b&gt;worker&lt;/b&gt;" in page.text
        assert "busy_function" in page.text and "<script" not in page.text and "style=" not in page.text
        zoomed = ask(server.port, "/debug/profile/last?zoom=2&format=html").text
        assert zoomed.count("<rect") < page.text.count("<rect")
        assert ask(server.port, "/debug/profile/last?zoom=99999&format=html").status == 200


class TestHeap:
    def test_off_unless_asked_and_off_again(self, server: DebugServer) -> None:
        for path, method in (("heap", "GET"), ("heap/diff", "GET"), ("heap/mark", "POST")):
            assert ask(server.port, f"/debug/{path}", method).status == 409
        assert post(server, "heap/stop") == "Tracing was off.\n"
        said = post(server, "heap/start")
        assert "stops in 300 s" in said and "20 times slower" in said
        assert tracemalloc.is_tracing()
        server.close()
        assert not tracemalloc.is_tracing()

    def test_top_and_diff(self, server: DebugServer) -> None:
        post(server, "heap/start?frames=3")
        kept = [bytearray(10_000) for _ in range(100)]
        found = ask(server.port, "/debug/heap?top=5&group=traceback&format=json").data
        assert found["top"][0]["bytes"] >= 1_000_000 and __file__ in found["top"][0]["where"][-1]
        assert len(found["top"]) == 5 and 0 < found["stops_in_seconds"] <= 300
        by_file = ask(server.port, "/debug/heap?group=filename&format=json").data["top"]
        assert by_file[0]["where"] == [__file__]
        post(server, "heap/mark")
        kept += [bytearray(50_000) for _ in range(100)]
        grown = ask(server.port, "/debug/heap/diff?format=json").data
        assert grown["diff"][0]["bytes"] >= 5_000_000 and grown["grown_bytes"] > 4_900_000
        text = ask(server.port, "/debug/heap/diff").text
        assert __file__ in text and "bytearray" not in text  # places, no source text
        assert post(server, "heap/stop") == "Tracing has stopped.\n"
        assert len(kept) == 200

    def test_tracing_of_the_program_is_left_alone(self) -> None:
        tracemalloc.start(2)
        try:
            with serve_debug(0) as server:
                assert "The program traces already" in post(server, "heap/start?frames=9")
                assert ask(server.port, "/debug/heap").status == 200
                assert ask(server.port, "/debug/heap/stop", "POST").status == 409
            assert tracemalloc.is_tracing() and tracemalloc.get_traceback_limit() == 2
        finally:
            tracemalloc.stop()

    def test_it_stops_by_itself(self, server: DebugServer) -> None:
        now = [0.0]
        server._views.heap._clock = lambda: now[0]
        post(server, "heap/start")
        now[0] = 299.0
        ask(server.port, "/debug/vars")
        assert tracemalloc.is_tracing()
        now[0] = 301.0
        assert until(lambda: not tracemalloc.is_tracing())
        assert ask(server.port, "/debug/heap").status == 409

    @pytest.mark.parametrize("query", ["top=0", "top=x", "top=1001", "group=x", "group=", "depth=1"])
    def test_bad_parameters(self, server: DebugServer, query: str) -> None:
        assert ask(server.port, f"/debug/heap?{query}").status == 400

    @pytest.mark.parametrize("frames", ["0", "26", "x", "-1"])
    def test_bad_frames(self, server: DebugServer, frames: str) -> None:
        assert ask(server.port, f"/debug/heap/start?frames={frames}", "POST").status == 400
        assert not tracemalloc.is_tracing()

    def test_a_browser_goes_on_to_the_result(self, server: DebugServer) -> None:
        answer = ask(server.port, "/debug/heap/start", "POST", Accept="text/html")
        assert (answer.status, answer.headers["location"]) == (303, "/debug/heap")
        assert "traced_bytes" in ask(server.port, "/debug/heap", Accept="text/html").text


class TestTasks:
    def test_a_blocked_loop_shows_its_frame(self, server: DebugServer) -> None:
        ready, free = threading.Event(), threading.Event()

        def blocking_function() -> None:
            ready.set()
            free.wait(LONG)

        async def main() -> None:
            serve_debug(server.port)  # in a loop: it is watched
            blocking_function()

        thread = threading.Thread(target=asyncio.run, args=(main(),))
        thread.start()
        assert ready.wait(LONG)
        (found,) = ask(server.port, "/debug/tasks?format=json").data["loops"]
        again = ask(server.port, "/debug/tasks").text
        free.set()
        thread.join(LONG)
        assert found["state"] == "blocked"
        assert any(frame["name"].endswith("blocking_function") for frame in found["stack"])
        assert "state: blocked" in again and "blocking_function" in again

    def test_tasks_by_where_they_wait(self, server: DebugServer) -> None:
        async def inner(free: asyncio.Event) -> None:
            await free.wait()

        async def outer(free: asyncio.Event) -> None:
            await inner(free)

        async def main() -> dict[str, object]:
            free = asyncio.Event()
            tasks = [asyncio.create_task(outer(free), name=f"job-{number}") for number in range(20)]
            server.watch_loop(asyncio.get_running_loop())
            server.watch_loop(asyncio.get_running_loop())
            await asyncio.sleep(0)
            answer = await asyncio.to_thread(ask, server.port, "/debug/tasks?format=json")
            free.set()
            await asyncio.gather(*tasks)
            (found,) = answer.data["loops"]
            return found

        found = asyncio.run(main())
        assert (found["state"], found["count"]) == ("answers", 21)
        tasks = found["tasks"]
        assert isinstance(tasks, list) and tasks[0]["count"] == 20 and len(tasks[0]["names"]) == 5
        names = [frame["name"].rpartition(".")[2] for frame in tasks[0]["stack"]]
        assert names[:2] == ["outer", "inner"]
        assert ask(server.port, "/debug/tasks?format=json").data["loops"] == []  # closed

    def test_watched_before_it_runs(self, server: DebugServer) -> None:
        loop = asyncio.new_event_loop()
        try:
            server.watch_loop(loop)
            (found,) = ask(server.port, "/debug/tasks?format=json").data["loops"]
            assert found["state"] == "not running"
        finally:
            loop.close()

    def test_without_a_loop(self, server: DebugServer) -> None:
        assert "watch_loop" in ask(server.port, "/debug/tasks").text
        with pytest.raises(TypeError, match="expected an asyncio event loop"):
            server.watch_loop(object())  # type: ignore[arg-type]


class TestTheRest:
    def test_threads(self, server: DebugServer) -> None:
        with working(lambda stop: stop.wait(LONG), "waiter"):
            threads = ask(server.port, "/debug/threads?format=json").data["threads"]
        assert threads[0]["name"] == "MainThread"
        assert "waiter" in [thread["name"] for thread in threads]
        assert not [thread for thread in threads if thread["name"].startswith("perflint-debug")]

    def test_gc(self, server: DebugServer) -> None:
        gc.collect()
        found = ask(server.port, "/debug/gc?format=json").data
        assert found["thresholds"] == list(gc.get_threshold())
        assert found["last_pauses"][-1]["generation"] == 2 and found["last_pauses"][-1]["ms"] >= 0
        server.close()
        assert not [item for item in gc.callbacks if "perflint" in item.__module__]  # other tools have theirs

    @pytest.mark.parametrize(
        "path", [path for path, route in _debug_views.ROUTES.items() if route.method == "GET"]
    )
    def test_formats(self, server: DebugServer, path: str) -> None:
        query = "?seconds=0.1&" if path == "/debug/profile" else "?"
        if path.startswith("/debug/heap"):
            post(server, "heap/start")
            post(server, "heap/mark")
        if path == "/debug/profile/last":
            ask(server.port, "/debug/profile?seconds=0.1")
        answer = ask(server.port, f"{path}{query}format=json")
        assert answer.status == 200 and answer.headers["content-type"].startswith("application/json")
        json.loads(answer.text)
        answer = ask(server.port, f"{path}{query}format=html")
        assert answer.status in (200, 303)
        if answer.status == 200:
            assert "<script" not in answer.text and "://" not in answer.text
        assert ask(server.port, f"{path}{query}format=text").headers["content-type"].startswith("text/plain")

    def test_a_failure_is_logged_and_not_shown(
        self, server: DebugServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(_: float) -> None:
            raise ValueError(SECRET)

        monkeypatch.setattr(_debug_views, "process_facts", fail)
        with caplog.at_level(logging.ERROR, "perflint.runtime"):
            answer = ask(server.port, "/debug/vars")
        assert (answer.status, answer.text) == (500, "The request failed; the log of the program says why.\n")
        assert caplog.records[-1].exc_info
        monkeypatch.undo()
        assert ask(server.port, "/debug/vars").status == 200

    def test_no_source_no_locals_no_environment(
        self, server: DebugServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PERFLINT_TEST_SECRET", SECRET)

        def holder(stop: threading.Event) -> None:
            password = SECRET
            while not stop.is_set():
                len(password)  # a line of source

        with working(holder):
            post(server, "heap/start?frames=5")
            kept = [SECRET + str(number) for number in range(1000)]
            shown = [
                ask(
                    server.port,
                    f"{path}?format={kind}" + ("&seconds=0.2" if path == "/debug/profile" else ""),
                ).text
                for path, route in _debug_views.ROUTES.items()
                for kind in ("text", "json", "html")
                if route.method == "GET"
            ]
        assert len(kept) == 1000
        assert not [
            text for text in shown if SECRET in text or "a line of source" in text or "password" in text
        ]
