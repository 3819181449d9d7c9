"""Run the fast ring on each Python that is found, and on the lowest dependencies.

`make matrix` calls it.  Each run has a temporary virtualenv.
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
    versions = (it.rpartition(" :: ")[2] for it in project["classifiers"] if "Python :: 3." in it)
    return sorted(versions, key=lambda version: [int(part) for part in version.split(".")])


def python(minor: str) -> Path | None:
    """Find an interpreter on the path or of pyenv; a shim that starts nothing does not count."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    on_path = shutil.which(f"python{minor}")
    for candidate in [on_path, *sorted(pyenv.glob(f"{minor}.*/bin/python{minor}"), reverse=True)]:
        if candidate and _version(Path(candidate)) == minor:
            return Path(candidate)
    return None


def _version(interpreter: Path) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    result = subprocess.run(
        [interpreter, "-c", code], capture_output=True, text=True, check=False, cwd="/"
    )
    return result.stdout.strip()


def passes(interpreter: Path, resolution: str) -> bool:
    """Install Foldline with these versions in a new virtualenv and run the fast ring there."""
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
    results = {}
    for name, (interpreter, resolution) in runs.items():
        print(f"\n=== {name}: {interpreter or 'not found'}", flush=True)
        if interpreter is None:
            results[name] = "skipped: not found"
        else:
            results[name] = "passed" if passes(interpreter, resolution) else "FAILED"
    print("\n" + "\n".join(f"{name:32} {result}" for name, result in results.items()))
    return int("FAILED" in results.values())


if __name__ == "__main__":
    sys.exit(main())
