"""Trials on workers of Dask: of this machine, of a scheduler that runs already, of a batch system."""

from __future__ import annotations

import logging
import queue
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Any

from ..errors import InputError, require
from ..version import __version__
from .engine import Finished, StoppedError
from .options import BATCH_SYSTEMS, BatchOptions
from .task import Outcome, Task
from .worker import run_trial

_LOOK_S = 5.0
"""Between two looks at the workers."""
_NO_WORKERS_S = 300.0
"""Time without any worker after which a run ends; jobs of a batch system may wait longer."""
_ANSWER_S = 10.0
_DEATHS = 2
"""A task whose worker dies once more than so often is given back by Dask."""
_JOB_MEMORY_GB = 4.0
"""Memory of a job of a batch system, if nothing else is said: a trial takes 0.5 to 1.2 GB beside its worker's 0.3."""
_SETTINGS: Mapping[str, Any] = {
    "distributed.scheduler.allowed-failures": _DEATHS,
    "distributed.scheduler.worker-ttl": None,  # a trial is watched by its own process
    "distributed.worker.preload": ["hsmr_bio.study.dask_preload"],
}
_LOCAL_SETTINGS: Mapping[str, Any] = {
    # A worker that is killed twice in this time would be given up for good.
    "distributed.deploy.lost-worker-timeout": "100h",
}
_GONE = "Dask's scheduler is gone, and with it what ran"
_FEATURE, _EXTRA = "a study on Dask", "cluster"
_Client = Any
_Cluster = Any
_Future = Any


def worker_version() -> str:
    """Return the version of the package that a worker has."""
    return __version__


class DaskEngine:
    """An engine on the workers of a Dask client.

    Args:
        client: of ``dask.distributed``.
        about: where, for people.
        cluster: that this engine started, and ends; None: it was there.
        jobs: workers that the cluster shall have.
        patient: whether to wait for workers as long as it takes.
        settings: ends the settings of Dask that were made for it.
    """

    def __init__(
        self,
        client: _Client,
        about: str,
        *,
        cluster: _Cluster = None,
        jobs: int = 0,
        patient: bool = False,
        settings: ExitStack | None = None,
    ) -> None:
        self.about = about
        self.slots = max(jobs, 1)
        self._client, self._cluster, self._jobs, self._patient = client, cluster, jobs, patient
        self._settings = settings or ExitStack()
        self._finished: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._running: dict[str, tuple[_Future, Task]] = {}
        self._looked_s = float("-inf")
        self._seen_s = time.monotonic()
        self._checked: set[str] = set()

    def submit(self, task: Task) -> None:
        """Give a task to the scheduler.

        Raises:
            StoppedError: the scheduler is gone.
        """
        key = f"{task.name}-{len(task.attempts)}-{task.run}"
        try:
            future = self._client.submit(run_trial, task, key=key, pure=False)
        except Exception as error:
            raise StoppedError(f"{_GONE} ({type(error).__name__})") from error
        self._running[key] = future, task
        future.add_done_callback(lambda done: self._finished.put(str(done.key)))

    def next_finished(self, timeout_s: float) -> Finished | None:
        """Wait for a task to finish.

        Raises:
            StoppedError: the scheduler is gone, or there have been no workers for long.
        """
        self._look()
        try:
            key = self._finished.get(timeout=timeout_s)
        except queue.Empty:
            return None
        future, task = self._running.pop(key)
        return task, self._outcome(future)

    def _outcome(self, future: _Future) -> Outcome:
        try:
            if future.status == "finished":
                found: Outcome = future.result(timeout=_ANSWER_S)
                return found
            error = future.exception(timeout=_ANSWER_S) if future.status == "error" else None
        except Exception as problem:
            raise StoppedError(f"{_GONE} ({type(problem).__name__})") from problem
        if error is None:
            raise StoppedError(_GONE)
        if type(error).__name__ == "KilledWorker":
            return Outcome(state="lost", reason=f"its worker was killed, on {_DEATHS + 1} workers", final=True)
        return Outcome(state="crashed", reason=f"{type(error).__name__}: {error}")

    def _look(self) -> None:
        """Count the workers; start those that are missing.

        Raises:
            StoppedError: the scheduler is gone, or there are no workers.
        """
        now_s = time.monotonic()
        if now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        try:
            threads = self._client.sync(self._client.scheduler.ncores, callback_timeout=_ANSWER_S)
        except Exception:  # noqa: BLE001, whatever it is, the scheduler does not answer
            threads = {}
        if threads:
            self._seen_s = now_s
            self._check_versions(set(threads))
        if self._cluster is None:
            self.slots = max(sum(threads.values()), 1)
        elif len(threads) < self._jobs:
            with suppress(Exception):
                self._cluster.scale(self._jobs)
        if not self._patient and now_s - self._seen_s > _NO_WORKERS_S:
            raise StoppedError(f"there has been no worker of Dask for {_NO_WORKERS_S / 60:.0f} minutes")

    def _check_versions(self, workers: set[str]) -> None:
        """Refuse workers with another version of the package.

        Raises:
            StoppedError: there are some.
        """
        new = sorted(workers - self._checked)
        if not new:
            return
        try:
            found = self._client.run(worker_version, workers=new, on_error="return")
        except Exception:  # noqa: BLE001, a worker that is just ending
            return
        for worker, version in found.items():
            if isinstance(version, ImportError):
                raise StoppedError(f"the Dask worker {worker} has no hsmr_bio {__version__}: install it there ({version})")
            if isinstance(version, str) and version != __version__:
                raise StoppedError(
                    f"the Dask worker {worker} has hsmr_bio {version}, this is {__version__}: install one version"
                )
        self._checked |= set(new)

    def close(self) -> None:
        """Cancel what runs, and end what this engine started."""
        futures = [future for future, _ in self._running.values()]
        if futures:
            with suppress(Exception):
                self._client.cancel(futures)
        if self._cluster is not None:
            with suppress(Exception):
                self._client.close(timeout=_ANSWER_S)
            with suppress(Exception):
                self._cluster.close()
        self._settings.close()


def dask_engine(options: BatchOptions, client: _Client, jobs: int) -> DaskEngine:
    """Start, or join, what the options name.

    Args:
        options: of the study.
        client: of the caller; None: by the options.
        jobs: workers to start.

    Returns:
        The engine.

    Raises:
        MissingDependencyError: Dask, or dask-jobqueue, is not installed.
        InputError: the scheduler does not answer, or refuses its arguments.
    """
    if client is not None:
        return DaskEngine(client, f"workers of {client}")
    dask: Any = require("dask", feature=_FEATURE, extra=_EXTRA)
    distributed = _imported()
    if options.remote:
        return _joined(distributed, options.scheduler)
    settings = ExitStack()
    local = options.scheduler == "local"
    settings.enter_context(dask.config.set({**_SETTINGS, **(_LOCAL_SETTINGS if local else {})}))
    start: Callable[[], _Cluster] = (lambda: _local(distributed, jobs)) if local else (lambda: _of_jobs(options, jobs))
    try:
        cluster = start()
        found = distributed.Client(cluster)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        settings.close()
        raise InputError(f"--scheduler {options.scheduler}: {error}") from error
    about = f"{jobs} workers of Dask ({options.scheduler}), to be watched at {_dashboard(cluster.dashboard_link)}"
    return DaskEngine(found, about, cluster=cluster, jobs=jobs, patient=not local, settings=settings)


def _imported() -> Any:  # noqa: ANN401, a module
    """Import Dask's scheduler; if the caller had not, without its log: what it says of a scheduler that is gone, we say."""
    known = "distributed" in sys.modules
    distributed = require("distributed", feature=_FEATURE, extra=_EXTRA)
    for name in () if known else list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return distributed


def _local(distributed: Any, jobs: int) -> _Cluster:  # noqa: ANN401, a module
    """Workers of this machine, one thread each; the memory of a trial is watched where it runs."""
    return distributed.LocalCluster(
        n_workers=jobs,
        threads_per_worker=1,
        processes=True,
        memory_limit=0,
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
    )


def _joined(distributed: Any, scheduler: str) -> DaskEngine:  # noqa: ANN401, a module
    """Join a scheduler that runs.

    Raises:
        InputError: it does not answer.
    """
    place = {"scheduler_file": scheduler} if scheduler.endswith(".json") else {"address": scheduler}
    try:
        client = distributed.Client(**place, timeout=_ANSWER_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(f"--scheduler {scheduler}: no scheduler of Dask answers there ({error})") from error
    return DaskEngine(
        client, f"workers of the Dask scheduler {scheduler}, to be watched at {_dashboard(client.dashboard_link)}"
    )


def job_cluster(options: BatchOptions) -> _Cluster:
    """Make the cluster of a batch system; no job is submitted yet.

    Args:
        options: of the study.

    Returns:
        The cluster of ``dask_jobqueue``.

    Raises:
        MissingDependencyError: dask-jobqueue is not installed.
    """
    jobqueue: Any = require("dask_jobqueue", feature=f"--scheduler {options.scheduler}", extra=_EXTRA)
    given = dict(options.cluster)
    given.setdefault("memory", f"{options.memory_gb or _JOB_MEMORY_GB:g} GB")
    given.setdefault("scheduler_options", {"dashboard_address": ":0"})
    given.setdefault("worker_extra_args", _lifetime(str(given.get("walltime", "")), options.timeout_s))
    return getattr(jobqueue, BATCH_SYSTEMS[options.scheduler])(cores=1, processes=1, **given)


def _of_jobs(options: BatchOptions, jobs: int) -> _Cluster:
    cluster = job_cluster(options)
    cluster.scale(jobs)
    return cluster


def _lifetime(walltime: str, timeout_s: float | None) -> list[str]:
    """Let a worker end by itself before the batch system ends it in the middle of a trial; another takes its place."""
    parts = walltime.split(":")
    if timeout_s is None or not 2 <= len(parts) <= 3 or not all(part.isdecimal() for part in parts):
        return []
    whole_s = sum(int(part) * factor for part, factor in zip(reversed(parts), (1, 60, 3600), strict=False))
    if whole_s < 2 * timeout_s:
        return []
    return ["--lifetime", f"{whole_s - timeout_s:.0f}s", "--lifetime-stagger", "30s"]


def _dashboard(link: str) -> str:
    """Address to look at: without bokeh Dask has plain tables only."""
    try:
        import bokeh  # noqa: F401
    except ImportError:
        return link.replace("/status", "/info/main/workers.html")
    return link
