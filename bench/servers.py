"""Servers that the measurements start and end, and figures of their processes (standard library only)."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"


def build(folder):
    """The programs of this folder and the server, in the build folder given; returns it as a path."""
    folder = pathlib.Path(folder).resolve()
    if not (folder / "build.ninja").exists():
        subprocess.run([ROOT / "tools/build", folder], cwd=ROOT, check=True)
    subprocess.run(["ninja", "--quiet", "-C", folder, "guild", "bench"], check=True, stdout=subprocess.DEVNULL)
    return folder


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def wait_for(look, what, timeout=20, every=0.005):
    deadline = time.monotonic() + timeout
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: waited {timeout} s in vain for {what}")
        time.sleep(every)


def connects(address):
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
        return True
    except OSError:
        return False


def on_cpu(cpu, command):
    """The command, held on one CPU; cpu None: on all."""
    return command if cpu is None or os.cpu_count() < 2 else ["taskset", "-c", str(cpu), *command]


def memory_kib(pid, field="VmRSS"):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise SystemExit(f"bench: there is no {field} of process {pid}")


class Process:
    """A program that ends with the block."""

    def __init__(self, command, cpu=None, env=None, stop=signal.SIGTERM, **options):
        self.stop = stop
        self.child = subprocess.Popen([str(word) for word in on_cpu(cpu, command)], env={**os.environ, **(env or {})}, **options)
        self.pid = self.child.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.child.poll() is None:
            self.child.send_signal(self.stop)
            try:
                self.child.wait(20)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


class Guild(Process):
    """The server with a fresh store, or with that of `data`."""

    def __init__(self, folder, cpu=None, data=None, env=None, wrap=(), timeout=20):
        self.made = None if data else tempfile.mkdtemp(prefix="guild-bench-")
        self.data = pathlib.Path(data or self.made)
        self.address = f"{HOST}:{free_port()}"
        self.said = open(self.data / "said", "a+")
        settings = {"GUILD_HTTP_RATE": "0", "GUILD_QUOTA_SESSIONS": "0", "GUILD_LOG_LEVEL": "error", **(env or {})}
        began = time.monotonic()
        super().__init__([*wrap, folder / "guild", "serve", "--listen", self.address, "--data", self.data], cpu, settings,
                         stdout=self.said, stderr=self.said)
        wait_for(self.answers, f"the server at {self.address}", timeout, every=0.0005)
        self.start_ms = (time.monotonic() - began) * 1000
        self.token = (self.data / "admin.token").read_text().strip()

    def answers(self):
        if self.child.poll() is not None:
            self.said.seek(0)
            raise SystemExit("bench: the server ended: " + self.said.read())
        with contextlib.suppress(OSError):
            return self.get("/healthz", token=False) != ""
        return False

    def get(self, path, token=True):
        return self.open(urllib.request.Request(f"http://{self.address}{path}"), token)

    def ask(self, method, path, body):
        request = urllib.request.Request(f"http://{self.address}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"},
                                         method=method)
        return json.loads(self.open(request))

    def open(self, request, token=True):
        if token:
            request.add_header("Authorization", f"Bearer {self.token}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=5) as reply:
            return reply.read().decode()

    def metrics(self):
        lines = [line.rsplit(" ", 1) for line in self.get("/metrics").splitlines() if line and line[0] != "#"]
        return {name: float(value) for name, value in lines}

    def end(self):
        super().end()
        self.said.close()
        if self.made:
            shutil.rmtree(self.made, ignore_errors=True)


def run_json(folder, program, *words, cpu=None, check=True, input=None):
    """One of this folder's programs; its line of JSON."""
    command = [str(word) for word in on_cpu(cpu, [folder / "bench" / f"bench-{program}", *words])]
    done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=120)
    if check and done.returncode != 0:
        raise SystemExit(f"bench: {' '.join(command)}: {done.stderr.strip()} {done.stdout.strip()}")
    return json.loads(done.stdout)
