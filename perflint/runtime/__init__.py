"""Work with bounds: pools that answer, tasks that cannot vanish, fan-out that fits in memory, writes in batches; and
to see and tune the process that does it: a debug server on loopback, a guarded collector, buffers used again.

Standard library only; independent of the linter. perflint's guide `docs/runtime.md` says which part is for what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._async_pool import AsyncWorkerPool
from ._batch import BadRow, BatchError, BatchResult, abatch_execute, batch_execute
from ._buffers import BufferPool
from ._checks import PoolStats
from ._debug_server import DebugServer, serve_debug
from ._gather import bounded_gather
from ._gc_tuning import GCTuning, tune_for_throughput
from ._group import __getattr__ as __getattr__
from ._guards import guard, log_future_exception, log_task_exception, safe_await, safe_run
from ._http import http_client, http_session, shared_session
from ._retry import aretry_submit, retry_submit
from ._stream import bounded_map, bounded_stream
from ._threads import WorkerPool

if TYPE_CHECKING:
    from ._group import BoundedTaskGroup

__all__ = [
    "AsyncWorkerPool",
    "BadRow",
    "BatchError",
    "BatchResult",
    "BoundedTaskGroup",
    "BufferPool",
    "DebugServer",
    "GCTuning",
    "PoolStats",
    "WorkerPool",
    "abatch_execute",
    "aretry_submit",
    "batch_execute",
    "bounded_gather",
    "bounded_map",
    "bounded_stream",
    "guard",
    "http_client",
    "http_session",
    "log_future_exception",
    "log_task_exception",
    "retry_submit",
    "safe_await",
    "safe_run",
    "serve_debug",
    "shared_session",
    "tune_for_throughput",
]
