"""Check that a wheel holds every package and data file of the checkout: python .ci/check_wheel.py dist/*.whl."""

import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"hsmr_bio": "hsmr_bio", "converters": "hsmr_bio/converters", "osim_models": "hsmr_bio/osim_models"}
NOT_SHIPPED: set[str] = set()


def expected() -> set[str]:
    """Names inside the wheel of every tracked file of the package's folders."""
    tracked = subprocess.run(["git", "ls-files", *FOLDERS], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    names = set()
    for path in filter(None, tracked):
        top, _, rest = path.partition("/")
        if path not in NOT_SHIPPED:
            names.add(f"{FOLDERS[top]}/{rest}")
    return names


def main(wheel: str) -> int:
    """Compare; 1 if something is missing or too much."""
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    packages = {name.strip() for name in setup["options"]["packages"].split()}
    lacking = sorted(expected() - inside)
    extra = sorted(
        name
        for name in inside
        if name.rsplit("/", 1)[0].replace("/", ".").split(".data")[0] not in packages
        and not any(name.startswith(package.replace(".", "/") + "/") for package in packages)
    )
    for name in lacking:
        sys.stderr.write(f"not in the wheel: {name}\n")
    for name in extra:
        sys.stderr.write(f"not of any package: {name}\n")
    size_mb = Path(wheel).stat().st_size / 1e6
    sys.stdout.write(f"{Path(wheel).name}: {len(inside)} files, {size_mb:.1f} MB\n")
    return 1 if lacking or extra else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
