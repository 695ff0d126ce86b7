"""Finds the user's licensed body files; nothing is downloaded.

SKEL (https://skel.is.tue.mpg.de) and SMPL (https://smpl.is.tue.mpg.de) may not be redistributed. The search goes through the
folder that the caller names, else the folders of the environment variable ``HSMR_BIO_ASSETS``, then the user's data folder,
to which ``hsmr-bio setup`` copies files.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal

from hsmr_bio.errors import FormatError, MissingAssetError
from hsmr_bio.io.atomic import new_file
from hsmr_bio.types import Sex

from .skel_file import load_skel_file, sex_of_name
from .smpl_model import load_smpl

ENVIRONMENT = "HSMR_BIO_ASSETS"
"""Environment variable with folders to search, separated as in PATH."""
Kind = Literal["skel", "smpl"]
_HOME_PAGE: dict[Kind, str] = {"skel": "https://skel.is.tue.mpg.de", "smpl": "https://smpl.is.tue.mpg.de"}
_NAMES: dict[Kind, str] = {"skel": "skel_{sex}.pkl", "smpl": "SMPL_{SEX}.pkl"}
_OTHER_SMPL_NAMES: dict[Sex, tuple[str, ...]] = {
    "male": ("basicmodel_m_lbs_10_207_0_v1.1.0.pkl", "basicModel_m_lbs_10_207_0_v1.0.0.pkl"),
    "female": ("basicmodel_f_lbs_10_207_0_v1.1.0.pkl", "basicModel_f_lbs_10_207_0_v1.0.0.pkl"),
    "neutral": ("basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl", "basicModel_neutral_lbs_10_207_0_v1.0.0.pkl"),
}
"""File names in SMPL's own packages."""


@dataclass(frozen=True)
class RegisteredFile:
    """One licensed file that was checked and copied."""

    kind: Kind
    sex: Sex
    source: Path
    target: Path


def data_folder() -> Path:
    """The user's data folder of this program, which may not exist."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "hsmr_bio"


def search_folders() -> list[Path]:
    """Folders that are searched when the caller names no file, in this order."""
    named = [Path(part).expanduser() for part in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if part]
    return [*named, data_folder()]


def registered_files(*endings: str) -> list[Path]:
    """Files with one of the endings in the folders that are searched."""
    return [file for folder in search_folders() for file in sorted(folder.glob("*")) if file.suffix in endings]


def find(kind: Kind, sex: Sex, folder: str | PathLike[str] | None = None) -> Path:
    """Find a licensed file.

    Args:
        kind: ``"skel"`` or ``"smpl"``.
        sex: SKEL has no neutral body.
        folder: searched instead of the usual ones, with its subfolders ``skel``, ``smpl``, ``models``.

    Returns:
        Its path.

    Raises:
        MissingAssetError: no such file; the message says which folders were searched and how to provide it.
    """
    names = [_NAMES[kind].format(sex=sex, SEX=sex.upper()), *(_OTHER_SMPL_NAMES[sex] if kind == "smpl" else ())]
    folders = [Path(folder).expanduser()] if folder is not None else search_folders()
    for place in folders:
        for sub in ("", kind, "models", f"models/{kind}"):
            for name in names:
                if (place / sub / name).is_file():
                    return place / sub / name
    searched = ", ".join(str(place) for place in folders)
    hint = "It has no neutral body: choose female or male. " if kind == "skel" and sex == "neutral" else ""
    raise MissingAssetError(
        f"{names[0]} was not found (searched in {searched}). {hint}It is licensed: get it from {_HOME_PAGE[kind]}, then run "
        f"'hsmr-bio setup FILE-OR-FOLDER' or set {ENVIRONMENT} to its folder. The open body needs no file: --body open"
    )


def register(path: str | PathLike[str]) -> list[RegisteredFile]:
    """Check licensed files and copy them to the user's data folder.

    Args:
        path: a file, or a folder that is searched with its subfolders for ``.pkl`` files.

    Returns:
        The files that were found and copied, SKEL first; other files are ignored.

    Raises:
        MissingAssetError: no such path, or nothing of SKEL or SMPL in the folder.
        FormatError: ``path`` is a file, and not a usable one of SKEL or SMPL.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise MissingAssetError(f"{path} does not exist")
    if path.is_file():
        return [_copy(path, *_recognise(path))]
    found = []
    for file in sorted(path.rglob("*.pkl")):
        try:
            found.append((file, *_recognise(file)))
        except FormatError:
            continue
    if not found:
        raise MissingAssetError(f"no SKEL 1.1.1 or SMPL file in {path} (looked at every .pkl in it and its subfolders)")
    return [_copy(*item) for item in sorted(found, key=lambda item: item[1])]


def _recognise(path: Path) -> tuple[Kind, Sex]:
    sex = sex_of_name(path.name) if "basicmodel" not in path.name.lower() else _sex_of_package_name(path.name)
    problems = []
    kinds: tuple[Kind, ...] = ("skel", "smpl")
    for kind in kinds:
        try:
            load_skel_file(path) if kind == "skel" else load_smpl(path)
        except FormatError as error:
            problems.append(str(error))
            continue
        if kind == "skel" and sex == "neutral":
            problem = "a SKEL file whose name does not say female or male; rename it to skel_female.pkl ..."
            raise FormatError(path, None, problem)
        return kind, sex
    raise FormatError(path, None, f"neither SKEL nor SMPL. As SKEL: {problems[0]}. As SMPL: {problems[1]}")


def _sex_of_package_name(name: str) -> Sex:
    lower = name.lower()
    return next((sex for sex, names in _OTHER_SMPL_NAMES.items() if lower in [n.lower() for n in names]), "neutral")


def _copy(source: Path, kind: Kind, sex: Sex) -> RegisteredFile:
    target = data_folder() / _NAMES[kind].format(sex=sex, SEX=sex.upper())
    if source.resolve() != target.resolve():
        with new_file(target) as part:
            shutil.copyfile(source, part)
    return RegisteredFile(kind, sex, source, target)
