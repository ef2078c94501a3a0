"""Programs that are timed in turns: each warms up, says "ready", and answers one line of JSON for each line it gets."""
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import time


class Worker:
    """A program with its own threads and memory, idle until ask()."""

    def __init__(self, command, threads):
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "BLIS_NUM_THREADS": str(threads),
                       "ATTEND_THREADS": str(threads)}
        self.messages = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.messages,
                                        text=True, env=environment)
        while self.line() != "ready":
            pass

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            self.messages.seek(0)
            raise RuntimeError((self.messages.read().strip().splitlines() or ["it ended"])[-1])
        return line.strip()

    def ask(self, question="go"):
        time.sleep(0.3)  # the one before may still spin
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return json.loads(self.line())

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def serve(answer):
    """The other side, for workers written in Python: answer(line) for each line."""
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(line.strip())), flush=True)


def start_all(commands, threads):
    """{name: Worker}; what cannot start (a library that is not installed) is left out and said."""
    workers = {}
    for name, command in commands.items():
        try:
            workers[name] = Worker(command, threads)
            print(f"  {name}: ready", file=sys.stderr, flush=True)
        except (RuntimeError, OSError) as reason:
            print(f"  {name}: left out ({reason})", file=sys.stderr, flush=True)
    return workers


def reset_peak_memory():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak_memory_mb():
    with open("/proc/self/status") as file:
        return int(re.search(r"VmHWM:\s+(\d+)", file.read())[1]) / 1024


def attend_json(attend, threads, *arguments):
    """What `attend ARGUMENTS --json` prints."""
    environment = {**os.environ, "ATTEND_THREADS": str(threads)}
    return json.loads(subprocess.check_output([attend, *arguments, "--json"], text=True, env=environment))


def surroundings(attend, python, threads):
    """Date, hardware and versions: what every file of results starts with."""
    versions = subprocess.run(
        [python, "-c", "import json, importlib.metadata as m\n"
         "names = ['torch', 'transformers', 'numpy']\n"
         "found = {d.metadata['Name'].lower(): d.version for d in m.distributions()}\n"
         "print(json.dumps({n: found[n] for n in names if n in found}))"], capture_output=True, text=True)
    return {
        "date": datetime.date.today().isoformat(),
        "machine": {**attend_json(attend, threads, "bench"), "cores": os.cpu_count(), "system": platform.release()},
        "versions": {
            "attend": subprocess.check_output([attend, "--version"], text=True).split()[-1],
            "python": platform.python_version(),
            **json.loads(versions.stdout or "{}"),
        },
    }


def update_results(path, name, entry):
    """Sets results[name] in a file of results; the other entries, each with its own date and versions, stay."""
    path = pathlib.Path(path)
    results = json.loads(path.read_text()) if path.exists() else {}
    results[name] = entry
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(compact(results) + "\n")


def compact(value, indent=""):
    """JSON that a diff can show: a member a line, but lists of numbers and small objects on one."""
    line = json.dumps(value)
    if len(line) < 120 or not isinstance(value, (dict, list)):
        return line
    deeper = indent + " "
    if isinstance(value, dict):
        members = [f"{json.dumps(key)}: {compact(member, deeper)}" for key, member in value.items()]
        return "{\n" + deeper + f",\n{deeper}".join(members) + "\n" + indent + "}"
    return "[\n" + deeper + f",\n{deeper}".join(compact(member, deeper) for member in value) + "\n" + indent + "]"
