"""Debuggers and consoles that listen on a socket, as data: who can connect runs Python in the process."""

from __future__ import annotations

from typing import NamedTuple


class Console(NamedTuple):
    """A call that opens one. Positions and defaults are those of the installed sources."""

    name: str  # what messages call it
    keyword: str = "host"
    position: int | None = None
    public: bool = False  # without an address it listens on every one
    secret: str = ""  # a parameter that makes it ask who is there
    listens: str = ""  # the address is inside a call of this function


_RPYC = ("Server", "OneShotServer", "ThreadedServer", "ThreadPoolServer", "ForkingServer", "GeventServer")
RPYC = frozenset(f"{module}.{name}" for module in ("rpyc", "rpyc.utils.server") for name in _RPYC)
RPYC_SERVICES = frozenset({"SlaveService", "ClassicService"})  # these run what they are sent

CONSOLES = {
    "debugpy.listen": Console("debugpy.listen", "address", 0),
    "ptvsd.enable_attach": Console("ptvsd.enable_attach", "address", 0, public=True),
    "remote_pdb.RemotePdb": Console("RemotePdb", "host", 0),
    "remote_pdb.set_trace": Console("remote_pdb.set_trace", "host", 0),
    "rpdb.Rpdb": Console("Rpdb", "addr", 0),
    "rpdb.set_trace": Console("rpdb.set_trace", "addr", 0),
    "rpdb.post_mortem": Console("rpdb.post_mortem", "addr", 0),
    "web_pdb.set_trace": Console("web_pdb.set_trace", "host", 0, public=True),
    "web_pdb.post_mortem": Console("web_pdb.post_mortem", "host", 1, public=True),
    "web_pdb.catch_post_mortem": Console("web_pdb.catch_post_mortem", "host", 0, public=True),
    "web_pdb.WebPdb": Console("WebPdb", "host", 0, public=True),
    "pudb.remote.set_trace": Console("pudb.remote.set_trace", "host", 2),
    "pudb.remote.RemoteDebugger": Console("RemoteDebugger", "host", 0),
    "celery.contrib.rdb.Rdb": Console("Rdb", "host", 0),
    "aiomonitor.start_monitor": Console("aiomonitor.start_monitor"),
    "aiomonitor.Monitor": Console("aiomonitor.Monitor"),
    "gevent.backdoor.BackdoorServer": Console("BackdoorServer", "listener", 0),
    "eventlet.backdoor.backdoor_server": Console("backdoor_server", "sock", 0, listens="eventlet.listen"),
    **{
        name: Console(name.rpartition(".")[2], "hostname", 1, public=True, secret="authenticator")
        for name in RPYC
    },
}
# Settings that move a console to an address.
VARIABLES = {"CELERY_RDB_HOST": "celery.contrib.rdb", "PUDB_RDB_HOST": "pudb.remote",
             "REMOTE_PDB_HOST": "remote_pdb", "PYTHON_RPDB_ADDRESS": "rpdb"}  # fmt: skip
MANAGERS = frozenset(
    f"multiprocessing.managers.{name}" for name in ("BaseManager", "SyncManager", "SharedMemoryManager")
)
