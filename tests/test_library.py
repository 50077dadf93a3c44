"""Under which names a file may hold an object of a known type."""

from perflint.analysis import library


def test_a_class_is_found_under_all_its_names() -> None:
    assert set(library.spellings(("multiprocessing.Process",))) == {
        *("multiprocessing.Process", "multiprocessing.BaseProcess", "multiprocessing.process.Process"),
        *("multiprocessing.process.BaseProcess", "multiprocessing.context.Process"),
        *("multiprocessing.context.BaseProcess", "multiprocessing.queues.Process"),
        *("multiprocessing.queues.BaseProcess", "multiprocessing.synchronize.Process"),
        "multiprocessing.synchronize.BaseProcess",
    }
    assert all(
        library.canonical(name) == "multiprocessing.Process"
        for name in library.spellings(("multiprocessing.Process",))
    )


def test_what_makes_an_object() -> None:
    assert set(library.makers(frozenset({"threading.Event"}))) == {"threading.Event"}
    queues = library.makers(frozenset({"multiprocessing.Queue"}))
    assert {"multiprocessing.Queue", "multiprocessing.queues.Queue", "multiprocessing.get_context"} <= {
        *queues
    }
    futures = library.makers(frozenset({library.FUTURE}))  # by a function, or by a method of what is made
    assert {"asyncio.run_coroutine_threadsafe", "concurrent.futures.thread.ThreadPoolExecutor"} <= {*futures}
    assert "asyncio.get_running_loop" in library.makers(frozenset({library.TASK}))
