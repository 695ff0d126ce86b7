"""Run every tutorial and turn it into a page with its code and what it printed: python docs/run_tutorials.py.

A tutorial that raises an error, warns or prints nothing stops the build. Comments that begin with ``# %`` become text.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parent
MARK = "# %"
WARNINGS = ("-W", "error", "-W", "ignore::DeprecationWarning", "-W", "ignore::ImportWarning")


def page(script: Path, printed: list[str]) -> str:
    """Cut the script at its ``# %`` comments; the text that a cell printed stands under it."""
    cells: list[tuple[str, list[str]]] = []
    for line in script.read_text(encoding="utf-8").splitlines():
        if line.startswith(MARK):
            if not cells or cells[-1][1]:
                cells.append(("", []))
            text, code = cells[-1]
            cells[-1] = (text + line.removeprefix(MARK).strip() + "\n", code)
        else:
            cells[-1][1].append(line)
    parts = []
    for (text, code), output in zip(cells, printed, strict=True):
        body = "\n".join(code).strip("\n")
        parts.append(text)
        if body:
            parts.append(f"```python\n{body}\n```\n")
        if output.strip():
            parts.append(f"```text\n{output.strip()}\n```\n")
    return "\n".join(parts) + f"\n*This page is `docs/tutorials/{script.name}`, run when the documentation was built.*\n"


def run(script: Path) -> list[str]:
    """Run the script in an empty folder; return what each cell printed."""
    mark = "\x1e"
    lines: list[str] = []
    in_code = True
    for line in script.read_text(encoding="utf-8").splitlines():
        if line.startswith(MARK) and in_code and lines:
            lines.append(f"print({mark!r}, end='', flush=True)")
        in_code = not line.startswith(MARK)
        lines.append(line)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, *WARNINGS, "-c", "\n".join(lines)],
            cwd=folder,
            env={**os.environ, "MPLBACKEND": "agg", "HSMR_BIO_DOCS": str(DOCS)},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit(f"{script} failed")
    if not done.stdout.replace(mark, "").strip():
        raise SystemExit(f"{script} printed nothing")
    return done.stdout.split(mark)


def main() -> None:
    """Run all of them."""
    target = DOCS / "generated"
    target.mkdir(exist_ok=True)
    for script in sorted((DOCS / "tutorials").glob("*.py")):
        started = time.monotonic()
        text = page(script, run(script))
        (target / f"{script.stem}.md").write_text(text, encoding="utf-8")
        print(f"{script.name}: {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
