"""Run the fast ring on each Python that is found, and on the lowest versions of what we depend on.

`make matrix` calls it.  Each run has a virtualenv of its own, which is thrown away.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
FAST = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "(unit or smoke) and not nightly"]


def minors() -> list[str]:
    """Return the versions of Python that pyproject.toml promises, the lowest first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    said = (it.rpartition(" :: ")[2] for it in project["classifiers"] if "Python :: 3." in it)
    return sorted(said, key=lambda it: [int(part) for part in it.split(".")])


def python(minor: str) -> Path | None:
    """Find an interpreter on the path or of pyenv; a shim that starts none is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    on_path = shutil.which(f"python{minor}")
    for candidate in [on_path, *sorted(pyenv.glob(f"{minor}.*/bin/python{minor}"), reverse=True)]:
        if candidate and _version(Path(candidate)) == minor:
            return Path(candidate)
    return None


def _version(interpreter: Path) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    told = subprocess.run(
        [interpreter, "-c", code], capture_output=True, text=True, check=False, cwd="/"
    )
    return told.stdout.strip()


def passes(interpreter: Path, resolution: str) -> bool:
    """Install Foldline in a new virtualenv, with versions so chosen, and run the fast ring there."""
    with tempfile.TemporaryDirectory(prefix="foldline-matrix-") as folder:
        uv = [str(BIN / "uv"), "--quiet"]
        installs = [*uv, "pip", "install", "--python", f"{folder}/bin/python"]
        commands = [
            [*uv, "venv", "--python", str(interpreter), folder],
            [*installs, "--resolution", resolution, "--editable", f"{ROOT}[dev]"],
            [f"{folder}/bin/python", *FAST, "--hypothesis-profile", "fast"],
        ]
        return all(subprocess.run(it, cwd=ROOT, check=False).returncode == 0 for it in commands)


def main() -> int:
    runs: dict[str, tuple[Path | None, str]] = {}
    for minor in minors():
        runs[f"Python {minor}"] = (python(minor), "highest")
    lowest = minors()[0]
    runs[f"Python {lowest}, lowest dependencies"] = (python(lowest), "lowest-direct")
    said = {}
    for name, (interpreter, resolution) in runs.items():
        print(f"\n=== {name}: {interpreter or 'not found'}", flush=True)
        if interpreter is None:
            said[name] = "skipped: not found"
        else:
            said[name] = "passed" if passes(interpreter, resolution) else "FAILED"
    print("\n" + "\n".join(f"{name:32} {result}" for name, result in said.items()))
    return int("FAILED" in said.values())


if __name__ == "__main__":
    sys.exit(main())
