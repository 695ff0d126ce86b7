"""Draw a .glb in headless Chromium with three.js, to be looked at by a person.

npm install --prefix tests/browser --no-save three@0.187
python tests/browser/screenshot.py walk.glb shot.png --time 0,0.3,0.6
"""

from __future__ import annotations

import argparse
import functools
import http.server
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glb", type=Path)
    parser.add_argument("png", type=Path)
    parser.add_argument("--time", default="0", help="seconds, separated by commas: one picture each, side by side")
    args = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None or not (HERE / "node_modules" / "three").is_dir():
        raise SystemExit("needs Chromium, and three: npm install --prefix tests/browser --no-save three@0.187")
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        site.mkdir()
        shutil.copy(HERE / "viewer.html", site)
        shutil.copy(args.glb, site / "model.glb")
        (site / "node_modules").symlink_to(HERE / "node_modules")
        handler = functools.partial(_Quiet, directory=str(site))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_address[1]}/viewer.html?file=model.glb&time={args.time}"
            flags = "--headless --no-sandbox --use-angle=swiftshader --enable-unsafe-swiftshader --disable-quic --no-first-run"
            flags += " --disable-background-networking --disable-component-update --disable-sync --hide-scrollbars"
            shot = [f"--user-data-dir={folder}/profile", f"--screenshot={args.png.resolve()}", "--window-size=1200,700"]
            subprocess.run([chromium, *flags.split(), *shot, "--virtual-time-budget=20000", url], check=True, timeout=180)
            server.shutdown()


if __name__ == "__main__":
    main()
