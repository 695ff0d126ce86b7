"""Options of a study. Importing them loads numpy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import InputError
from ..option_checks import check_number, check_options
from ..pipeline.options import Image2MotOptions

BATCH_SYSTEMS = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "sge": "SGECluster", "lsf": "LSFCluster"}
"""Batch system -> class of ``dask_jobqueue``."""
SCHEDULERS = ("local", "processes", *BATCH_SYSTEMS)


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """Options of ``batch``."""

    image2mot: Image2MotOptions = field(default_factory=Image2MotOptions)
    """Options of every trial; columns of the table with their names replace them. Trials that are no videos take what their
    command knows: person, body, model, filter, dynamics, camera angles."""
    scheduler: str = "local"
    """``local``: workers on this machine, of Dask if it is installed; ``processes``: without Dask; an address
    (``tcp://host:8786``) or a file of a running Dask scheduler; ``slurm``, ``pbs``, ``sge`` or ``lsf``."""
    jobs: int | None = None
    """Trials at a time; None: one for each processor core here, two jobs of a batch system."""
    timeout_s: float | None = 7200.0
    """Longest time of a trial; None: no limit."""
    memory_gb: float | None = None
    """Most memory of a trial; None: its share of this machine's."""
    only: str | None = None
    """Pattern (``P0*``) of the names of the trials to do."""
    limit: int | None = None
    """Most trials to compute in this run."""
    shard: tuple[int, int] | None = None
    """(I, N): compute only every N-th trial, from the I-th on, and write no common table: an element of an array job."""
    retry_failed: bool = False
    """Compute failed trials again, too."""
    analyse: bool = False
    """Also write the tables of ``hsmr-bio analyse`` for each trial."""
    anonymous: bool = False
    """Numbers instead of names, no pictures and no links in the report of the study."""
    cluster: Mapping[str, object] = field(default_factory=dict)
    """Arguments of the batch system's class in ``dask_jobqueue``: queue, account, walltime, memory ..."""

    def __post_init__(self) -> None:
        check_options(Image2MotOptions, self.image2mot, "image2mot")
        check_number("jobs (--jobs)", self.jobs, low=1)
        check_number("timeout_s (--timeout)", self.timeout_s, "s", above=0)
        check_number("memory_gb (--memory-gb)", self.memory_gb, "GB", above=0)
        check_number("limit (--limit)", self.limit, low=0)
        if self.scheduler not in SCHEDULERS and not self.remote:
            known = ", ".join(SCHEDULERS)
            raise InputError(f"scheduler must be {known}, tcp://HOST:PORT or a scheduler file (.json), got {self.scheduler!r}")
        if self.cluster and self.scheduler not in BATCH_SYSTEMS:
            raise InputError(f"{', '.join(self.cluster)}: only --scheduler {', '.join(BATCH_SYSTEMS)} use these options")
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1]:
            raise InputError(f"shard (--shard) must be I/N with I from 1 to N, got {self.shard[0]}/{self.shard[1]}")

    @property
    def remote(self) -> bool:
        """Whether the scheduler runs already."""
        return "://" in self.scheduler or self.scheduler.endswith(".json")
