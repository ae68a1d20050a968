"""Jobs of a benchmark, each in a process of its own on one core, and what they ran on."""

import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


def run_pinned(script: str, jobs: Sequence[Sequence[str]], n_cores: int) -> list[dict]:
    """Run `script` with the arguments of each job and return the last lines they print, as JSON.

    `n_cores` jobs run at a time, on one thread each; one that fails is reported and left out.
    """
    waiting = list(jobs)
    rows: list[dict] = []
    lock = threading.Lock()

    def work(core: int) -> None:
        while True:
            with lock:
                if not waiting:
                    return
                arguments = waiting.pop(0)
            start = time.perf_counter()
            done = subprocess.run(
                [sys.executable, script, *arguments],
                env=os.environ | _ONE_THREAD,
                capture_output=True,
                text=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
                check=False,
            )
            lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
            print(f"{' '.join(arguments)}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
            if done.returncode or not lines:
                print(done.stderr[-2000:], file=sys.stderr)
                continue
            rows.append(json.loads(lines[-1]))

    cores = sorted(os.sched_getaffinity(0))[:n_cores]
    threads = [threading.Thread(target=work, args=(core,)) for core in cores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return rows


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "?")
    return f"{cpu}, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def versions(names: Sequence[str]) -> str:
    found = []
    for name in names:
        try:
            found.append(f"{name} {installed(name)}")
        except PackageNotFoundError:
            found.append(f"{name} (source tree)")
    return ", ".join(found)
