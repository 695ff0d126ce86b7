"""What an observation says of missing frames and of other people: the share of a body that is hidden, counts, notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hsmr_bio.types import BoolArray, FloatArray

from .person_track import PersonTrack
from .regions import FIRST_BODY_LANDMARK

_OTHERS_SHARE, _OTHERS_S = 0.1, 0.3
"""Share of the clip, and time, from which other people are mentioned: a false detection is shorter."""
_MOST_TIMES = 3
"""Stretches of which a note gives the times."""
_BEHIND_SHARE = 0.5
"""Share of a stretch's frames in which the person is behind somebody, from which the note says so."""


@dataclass(frozen=True, eq=False)
class Company:
    """One person among others over a clip."""

    present: BoolArray
    """(T,) whether the person is seen."""
    behind: BoolArray
    """(T,) whether the person is lost behind somebody."""
    hidden_share: FloatArray
    """(T,) of the body's landmarks that somebody in front hides; 1 where the person is lost behind somebody."""
    others: FloatArray
    """(T,) number of other people seen."""

    @classmethod
    def of(
        cls, track: PersonTrack, tracks: Sequence[PersonTrack], hidden: BoolArray, strangers: npt.NDArray[np.int_]
    ) -> Company:
        """Count.

        Args:
            track: of the person.
            tracks: of all people followed.
            hidden: (T, 33) landmarks that somebody hides.
            strangers: (T,) people seen who are not followed.

        Returns:
            The counts.
        """
        present, behind = np.zeros(len(hidden), dtype=np.bool_), np.zeros(len(hidden), dtype=np.bool_)
        present[track.frames], behind[sorted(track.behind)] = True, True
        behind &= ~present
        others = strangers.astype(np.float64)
        for other in tracks:
            if other is not track:
                others[other.frames] += 1
        share = np.where(present, hidden[:, FIRST_BODY_LANDMARK:].mean(axis=1), behind.astype(np.float64))
        return cls(present, behind, share, others)

    def notes(self, time_s: FloatArray, *, alone: bool) -> tuple[str, ...]:
        """Say what is missing, and who else is there.

        Args:
            time_s: (T,).
            alone: whether one person was asked for; only then other people are mentioned.

        Returns:
            The sentences.
        """
        said = lost_notes(time_s, self.present, self.behind)
        return (*said, *others_notes(time_s, self.others)) if alone else said


def held(searches: Sequence[tuple[int, int]], frames: int) -> npt.NDArray[np.int_]:
    """(T,) the count of the last search before each frame.

    Args:
        searches: (frame, count) in order.
        frames: of the clip.

    Returns:
        0 before the first search.
    """
    counts = np.zeros(frames, dtype=int)
    for frame, count in searches:
        counts[frame:] = count
    return counts


def lost_notes(time_s: FloatArray, seen: BoolArray, behind: BoolArray) -> tuple[str, ...]:
    """Say when a person is not seen.

    Args:
        time_s: (T,).
        seen: (T,) whether the person is seen.
        behind: (T,) whether somebody is in front instead.

    Returns:
        No sentence, or one with the times and the share of the clip.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~seen, [False]]).astype(int)))
    stretches = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    if not stretches or not seen.any():
        return ()
    ends = [*time_s[1:].tolist(), float(time_s[-1])]
    said = [
        f"{time_s[start]:.2f} to {ends[stop - 1]:.2f} s"
        + " (behind somebody)" * bool(behind[start:stop].mean() > _BEHIND_SHARE)
        for start, stop in stretches[:_MOST_TIMES]
    ]
    more = len(stretches) - len(said)
    times = ", ".join(said) + f" and {more} more times" * bool(more)
    return (f"the person is not seen in {int((~seen).sum())} of {len(seen)} frames: {times}",)


def others_notes(time_s: FloatArray, others: FloatArray) -> tuple[str, ...]:
    """Say that other people are in the picture, and which options are for that.

    Args:
        time_s: (T,).
        others: (T,) number of other people.

    Returns:
        No sentence, or one.
    """
    for count in range(int(others.max(initial=0.0)), 0, -1):
        share = float(np.mean(others >= count))
        if share >= _OTHERS_SHARE and share * float(time_s[-1] - time_s[0]) >= _OTHERS_S:
            who = "another person is" if count == 1 else f"{count} other people are"
            return (
                f"{who} in the picture for {share:.0%} of the time: --people estimates everybody, --person-box X0 Y0 X1 Y1 "
                "says who is meant",
            )
    return ()
