"""Methods and data that hang, die, fork, print or take all memory: it costs their own record, once, and no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from effort import PATIENCE
from own_study import command, records, written

from experiments.harness.engine import child
from experiments.harness.running import Executor, run_study
from experiments.harness.store import Store
from experiments.harness.study import load_study

ONE = {"factors": {"size": [4]}}
SPAWN = "import subprocess\nopen({log!r}, 'a').write(str(subprocess.Popen(['sleep', '600']).pid) + chr(10))\n"
LIMIT = 5.0  # seconds: a thousand times what a function takes that does nothing, whatever else the machine has to do


def statuses(folder: Path) -> dict[str, list[str]]:
    return {name: [record["status"] for record in own] for name, own in records(folder).items()}


def is_alive(process: int) -> bool:
    """Whether a process runs; one that nobody has buried does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def run(path: Path, folder: Path, workers: int = 2) -> dict[str, list[str]]:
    run_study(load_study(path), path, folder, executor=Executor(workers=workers))
    return statuses(folder)


def test_what_hangs_is_called_once_and_leaves_nothing(tmp_path: Path) -> None:
    """It is recorded by the process that ends itself; what it started ends, too; its neighbours keep their records."""
    calls, started = tmp_path / "calls", tmp_path / "started"
    hang = f"open({str(calls)!r}, 'a').write(str(options) + chr(10))\nif 'odd' in options:\n    "
    hang += SPAWN.format(log=str(started)).replace("\n", "\n    ") + "time.sleep(600)"
    path = written(tmp_path, hang, design=ONE, run={"replicates": 2, "timeout": LIMIT})
    assert run(path, tmp_path / "out", 1) == {"plain": ["ok", "ok"], "odd": ["timeout", "timeout"]}
    (one, other) = records(tmp_path / "out")["odd"]
    assert one["message"] == "it did not end within 5 s" and one["limit"] == other["limit"] == LIMIT
    said = calls.read_text().splitlines()
    assert said.count("{'odd': True}") == 2, "each of the two once"
    assert 2 <= said.count("{}") <= 4, "the first call in a process is made twice"
    if Path("/proc/self/stat").exists():
        pids, end = [int(line) for line in started.read_text().split()], time.monotonic() + PATIENCE
        while any(map(is_alive, pids)) and time.monotonic() < end:
            time.sleep(0.05)
        assert len(pids) == 2 and not any(map(is_alive, pids))


@pytest.mark.parametrize(
    ("generate", "status", "words"),
    [
        pytest.param(  # `test_a_fault_drill` has such data, too
            "time.sleep(600)", "timeout", "generate: it did not end within 5 s", marks=pytest.mark.slow
        ),
        ("os.kill(os.getpid(), 9)", "crashed", "generate: its process was killed (SIGKILL)"),
        pytest.param("return 1 / 0", "error", "generate: ZeroDivisionError: division by zero", marks=pytest.mark.slow),
    ],
)
def test_data_that_cannot_be_made(tmp_path: Path, generate: str, status: str, words: str) -> None:
    """All methods of the replicate have the reason; other replicates are as they were."""
    generate = f"if seed % 2:\n    {generate}\nreturn np.random.default_rng(seed).normal(size=4)"
    path = written(tmp_path, generate=generate, design=ONE, run={"replicates": 6, "timeout": LIMIT})
    found = run(path, tmp_path / "out")
    assert found["plain"] == found["odd"] and set(found["odd"]) == {"ok", status}
    assert {record["message"] for record in records(tmp_path / "out")["odd"]} == {"", words}


@pytest.mark.slow  # among the fast tests, `test_a_fault_drill` has a method that does
def test_memory_that_grows(tmp_path: Path) -> None:
    """One fit that wants too much has an error; many that keep a little do no harm to the next."""
    big = "if 'odd' in options: np.ones((400, 2**20))"
    small = "globals().setdefault('KEPT', []).append(np.ones(5 * 2**20))"  # 40 MiB
    for name, body, expected, many in (("big", big, {"error"}, 2), ("small", small, {"ok"}, 8)):
        path = written(tmp_path, body, design=ONE, run={"replicates": many, "timeout": 60.0, "memory": 500.0})
        found = run(path, tmp_path / name, 1)
        assert set(found["odd"]) == expected and set(found["plain"]) == {"ok"}, name
    said = records(tmp_path / "big")["odd"][0]["message"]
    assert "MemoryError: Unable to allocate" in said and "run.memory = 500 MiB; raise it" in said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_method_that_forks(tmp_path: Path, workers: int) -> None:
    """The copy must not go on with the study, whether it returns, raises or sleeps; nothing is left of it."""
    log = tmp_path / "copies"
    body = (
        f"if 'odd' in options and os.fork() == 0:\n    open({str(log)!r}, 'a').write(str(os.getpid()) + chr(10))\n    "
    )
    ways = {"returns": "pass", "raises": "raise ValueError"} | ({"sleeps": "time.sleep(600)"} if workers else {})
    for name, way in ways.items():
        path = written(tmp_path, body + way, design=ONE)
        assert run(path, tmp_path / name, workers) == {"plain": ["ok"] * 4, "odd": ["ok"] * 4}
    if Path("/proc/self/stat").exists():
        pids, end = [int(line) for line in log.read_text().split()], time.monotonic() + PATIENCE
        while any(map(is_alive, pids)) and time.monotonic() < end:
            time.sleep(0.05)
        assert not any(map(is_alive, pids))


def test_a_method_that_prints_and_closes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing of it reaches the terminal, nor what goes between processes."""
    body = (
        "for k in range(200): print('blah ' * 200)\n"
        "sys.stderr.write('noise\\n' * 1000); os.write(1, b'raw\\n' * 1000)\n"
        "if 'odd' in options: sys.stderr.close(); os.close(1); os.close(0)"
    )
    path = written(tmp_path, body, design=ONE)
    assert run(path, tmp_path / "out", 2) == {"plain": ["ok"] * 4, "odd": ["ok"] * 4}
    said = capfd.readouterr()
    assert said.out == said.err == ""


#: What a method may do, how that is told, and with which words.
ENDS = [
    ("os._exit(0)", "crashed", "exit code 0"),
    ("raise KeyboardInterrupt", "error", "KeyboardInterrupt"),
    ("import ctypes; ctypes.string_at(0)", "crashed", "SIGSEGV"),
    ("sys.stdin.read(); raise RuntimeError('no input')", "error", "no input"),
    ("[warnings.warn(str(k)) for k in range(500)]; raise RuntimeError('noisy')", "error", "noisy"),
    ("os.closerange(3, 64)", "crashed", "it closed files that are not its own"),
    ("raise asyncio.CancelledError", "error", "CancelledError"),
    ("raise MemoryError", "error", "MemoryError: (a process may have run.memory = "),
]


def test_other_ends(tmp_path: Path) -> None:
    """Each is told, and what comes next in its process is not blamed."""
    methods: dict[str, dict[str, int]] = {}
    for k in range(len(ENDS)):
        methods |= {f"odd{k}": {"odd": k}, f"plain{k}": {}}
    body = "\n".join(f"if options.get('odd') == {k}:\n    {end}" for k, (end, *_) in enumerate(ENDS))
    path = written(tmp_path, body, head="import asyncio", design=ONE, methods=methods, run={"replicates": 1})
    found = run(path, tmp_path / "out", 1)
    for k, (end, status, words) in enumerate(ENDS):
        assert found[f"odd{k}"] == [status] and found[f"plain{k}"] == ["ok"], end
        assert words in records(tmp_path / "out")[f"odd{k}"][0]["message"], end


def test_many_warnings_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "[warnings.warn(str(k)) for k in range(500)]", design=ONE)
    run(path, tmp_path / "out", 0)
    own = records(tmp_path / "out")["odd"][0]["warnings"]
    assert len(own) == 21 and own[-1] == "and 480 more"


def test_a_plan_has_the_limits_of_a_run(tmp_path: Path) -> None:
    """A method that never ends, and one that ends its process, are told."""
    body = "if options.get('odd') == 1: time.sleep(600)\nif options.get('odd') == 2: os.kill(os.getpid(), 11)"
    methods = {"plain": {}, "hangs": {"odd": 1}, "dies": {"odd": 2}}
    path = written(tmp_path, body, design=ONE, methods=methods, run={"replicates": 3, "timeout": LIMIT})
    text = command("plan", path, "--pilot", 2)
    assert "hangs gave nothing in size=4: timeout: it did not end within 5 s" in text
    assert "dies gave nothing in size=4: crashed: its process was killed (SIGSEGV" in text


def test_a_termination_keeps_what_an_interrupt_keeps(tmp_path: Path) -> None:
    """SIGTERM to the driver: what is done is in the store, the run is noted as interrupted, no process is left."""
    started = tmp_path / "started"
    body = f"open({str(started)!r}, 'a').write(str(os.getpid()) + chr(10))\n"
    body += "if 'odd' in options and data[0] > 1: time.sleep(600)"
    path = written(tmp_path, body, design=ONE, run={"replicates": 200, "timeout": 600.0})
    arguments = [sys.executable, "-m", "experiments", "run", str(path), "-o", str(tmp_path / "out"), "--workers", "1"]
    process = subprocess.Popen(arguments, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + PATIENCE
    while process.poll() is None and not (started.exists() and len(started.read_text().split()) > 4):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143 and "the same command goes on" in " ".join(said.split())
    with Store(tmp_path / "out") as store:
        assert store.runs()[0]["end"] == "interrupted"
    if Path("/proc/self/stat").exists():
        while any(is_alive(int(line)) for line in set(started.read_text().split())) and time.monotonic() < end:
            time.sleep(0.05)
        assert not any(is_alive(int(line)) for line in set(started.read_text().split()))


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes cannot be stopped")
def test_what_stops_itself_is_ended_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own clock stands still; it is not left to the limit of the whole task, which is far off here."""
    monkeypatch.setattr(child, "SPARE", 1e6)
    stop = "os.kill(os.getpid(), signal.SIGSTOP)"
    path = written(
        tmp_path, f"if 'odd' in options: {stop}", generate=f"if cell['size'] == 6: {stop}\nreturn np.arange(4.0)",
        head="import signal", design={"factors": {"size": [4, 6]}}, run={"replicates": 1, "timeout": LIMIT},
    )  # fmt: skip
    assert {name: sorted(own) for name, own in run(path, tmp_path / "out").items()} == {
        "plain": ["ok", "timeout"],
        "odd": ["timeout", "timeout"],
    }
    said = {record["message"] for record in records(tmp_path / "out")["odd"]}
    assert said == {"it did not end within 5 s", "generate: it did not end within 5 s"}


def test_a_number_that_never_comes(tmp_path: Path) -> None:
    """Also what is done with an outcome has the limit of its method, and may end the process."""
    head = "class Number(float):\n    def __float__(self): time.sleep(600)\n"
    head += "class End(float):\n    def __float__(self): os._exit(0)"
    body = "kind = {1: Number, 2: End}.get(options.get('odd'), float)\n"
    body += "found = Outcome({'centre': (kind(1.0), 1.0, 0.0, 2.0, math.nan)})"
    methods = {"plain": {}, "hangs": {"odd": 1}, "ends": {"odd": 2}}
    path = written(tmp_path, body, head=head, design=ONE, methods=methods, run={"replicates": 1, "timeout": LIMIT})
    assert run(path, tmp_path / "out", 1) == {"plain": ["ok"], "hangs": ["timeout"], "ends": ["crashed"]}


def test_what_is_left_behind_is_put_back(tmp_path: Path) -> None:
    """Streams, errors of NumPy, depth of recursion and descriptors of one method are not those of the next."""
    ways = {
        "stream": "sys.stdout = 5",
        "weird": "sys.stderr = open(os.devnull)",
        "none": "sys.stderr = None",
        "errors": "np.seterr(all='raise')",
        "depth": "sys.setrecursionlimit(200)",
        "folder": "import tempfile\n    with tempfile.TemporaryDirectory() as gone: os.chdir(gone)",
    }
    body = "np.float64(1.0) / np.float64(0.0); print('here', file=sys.stdout); print('there', file=sys.stderr)\n"
    body += "depth = lambda k: k and depth(k - 1)\ndepth(400)\n"
    body += "\n".join(f"if options.get('odd') == {name!r}:\n    {way}" for name, way in ways.items())
    methods = {"first": {}} | {name: {"odd": name} for name in ways} | {"last": {}}
    path = written(tmp_path, body, design=ONE, methods=methods, run={"replicates": 2, "timeout": 60.0})
    assert run(path, tmp_path / "out", 1) == {name: ["ok"] * 2 for name in methods}
