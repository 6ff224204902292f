"""An omegad of its own for tests that meet it as a user does: its programs, its sockets, its files.

In:   OMEGA_BUILD. Out: a running daemon, TAP, what the kernel holds for it. Used by: tests/vm, tests/live.
Never touches an installed agent; ends no process that it did not start.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.path.join(TOP, os.environ.get("OMEGA_BUILD", "build")))
PATIENCE = 120  # seconds; an emulated processor under load is slow
SHELL = ["/usr/bin/bash", "/usr/bin/cat", "/usr/bin/perl", "/usr/bin/sleep", "/usr/lib/x86_64-linux-gnu/",
         "/usr/lib64/ld-linux-x86-64.so.2"]

count = failed = 0


def check(name, good, *why):
    """One line of TAP; WHY is shown where it is not GOOD."""
    global count, failed
    count += 1
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", count, name))
    if not good:
        for text in why:
            for line in str(text).splitlines()[-40:]:
                print("# " + line)
    sys.stdout.flush()
    return good


def done():
    print("1..%d" % count)
    sys.exit(1 if failed else 0)


def skip_all(why):
    print("1..0 # SKIP " + why)
    sys.exit(0)


def until(test, seconds=PATIENCE):
    """What TEST gives once it is true, or its last answer."""
    end = time.monotonic() + seconds
    while True:
        got = test()
        if got or time.monotonic() > end:
            return got
        time.sleep(0.05)


class Refused(Exception):
    """The daemon's error: id, exit and text in .info."""

    def __init__(self, info):
        super().__init__(info.get("text", "?"))
        self.info = info


def manifest(name, script, extra="", egress=("127.0.0.1:9/tcp",), layers=None, command=None):
    command = command or ["/usr/bin/bash", "-c", script]
    text = "[brane.%s]\nimage = \"host:\"\ncommand = %s\n" % (name, json.dumps(command))
    if layers:
        text += "layers = %s\n" % json.dumps(layers)
    text += extra + "\n[brane.%s.filesystem]\nread = %s\nexec = %s\n" % (
        name, json.dumps(["/dev/null", "/etc/debian_version", "/etc/ld.so.cache", "/usr/bin/"]), json.dumps(SHELL))
    if egress:
        text += "[brane.%s.network]\negress = %s\n" % (name, json.dumps(list(egress)))
    return text + "[brane.%s.stdio]\nin = true\nout = true\nerr = true\n" % name


class Agent:
    """Directories, a cgroup, pins and a table of its own."""

    def __init__(self, layers=None, state_size=None):
        self.dir = tempfile.mkdtemp(prefix="omega-test.")
        tag = self.dir.rsplit(".", 1)[1].replace("_", "-")
        self.run, self.state = self.dir + "/run", self.dir + "/state"
        self.bpffs = "/sys/fs/bpf/omt-" + tag
        with open("/proc/mounts") as f:
            roots = [line.split()[1] for line in f if line.split()[2] == "cgroup2"]
        self.cgroup = roots[0] + "/omt-" + tag
        self.tmpfs = bool(state_size)
        if state_size:
            os.mkdir(self.state, 0o700)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700,size=" + state_size, "tmpfs",
                            self.state], check=True)
        self.argv = [BUILD + "/omegad", "--run-dir", self.run, "--state-dir", self.state, "--bpffs",
                     self.bpffs, "--cgroup", self.cgroup, "--nft-table", "omt_" + tag.replace("-", "_")]
        if layers:
            self.argv += ["--layers", layers]
        self.proc = None

    def start(self, wait=True):
        with open(self.dir + "/log", "ab") as log:
            self.proc = subprocess.Popen(self.argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        if wait and not until(self.ready):
            sys.exit("Bail out! omegad did not become ready:\n" + self.log())
        return self

    def ready(self):
        if self.proc.poll() is not None:
            sys.exit("Bail out! omegad ended with %d:\n%s" % (self.proc.returncode, self.log()))
        try:
            return bool(self.call("Observe.Version"))
        except (OSError, Refused):
            return False

    def log(self):
        with open(self.dir + "/log", errors="replace") as f:
            return "".join(f.readlines()[-40:])

    def stop(self, signum=signal.SIGTERM):
        self.proc.send_signal(signum)
        return self.proc.wait(PATIENCE)

    def role(self, name):
        """The pid of a role of the running daemon, or None."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/stat" % pid) as f:
                    head, tail = f.read().rsplit(")", 1)
            except OSError:
                continue
            if head.split("(", 1)[1] == ("omegad-" + name)[:15] and int(tail.split()[1]) == self.proc.pid:
                return int(pid)
        return None

    def ctl(self, *args, stdin=None, timeout=PATIENCE):
        """omegactl: (exit status, stdout, stderr)."""
        got = subprocess.run([BUILD + "/omegactl", "--run-dir", self.run, "--state-dir", self.state, *args],
                             input=stdin, capture_output=True, timeout=timeout)
        return got.returncode, got.stdout.decode(errors="replace"), got.stderr.decode(errors="replace")

    def call(self, method, timeout=PATIENCE, **params):
        """One call on the control socket; raises Refused or OSError."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(timeout)
            s.connect(self.run + "/control.sock")
            s.sendall(json.dumps({"method": "io.omega." + method, "parameters": params}).encode() + b"\0")
            data = b""
            while not data.endswith(b"\0"):
                more = s.recv(1 << 16)
                if not more:
                    raise ConnectionResetError("the daemon ended the connection")
                data += more
        reply = json.loads(data[:-1])
        if "error" in reply:
            raise Refused(reply["parameters"])
        return reply["parameters"]

    def apply(self, text, **params):
        return self.call("Control.Apply", manifest=text, file="t.toml", **params)["results"]

    def branes(self):
        return {b["name"]: b for b in self.call("Observe.List")["branes"]}

    def output(self, name):
        try:
            with open("%s/branes/%s/stdout" % (self.run, name), errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def events(self, *args):
        code, out, err = self.ctl("events", "-o", "jsonl", *args)
        return [json.loads(line) for line in out.splitlines() if line] if code == 0 else []

    def verify(self):
        return self.ctl("security", "verify-chain")

    def left(self, name):
        """What there still is of a brane: directories, cgroups, entries of pinned maps."""
        found = [p for p in ("%s/branes/%s" % (self.run, name), "%s/%s" % (self.cgroup, name),
                             "%s.shims/%s" % (self.cgroup, name)) if os.path.exists(p)]
        return found

    def maps(self):
        """How many entries each pinned map of policy holds (counters have a life of their own)."""
        held = {}
        for base, _, files in os.walk(self.bpffs):
            for file in files:
                path = os.path.join(base, file)
                if file in ("om_stats", "om_folds"):
                    continue
                show = subprocess.run(["bpftool", "-j", "map", "show", "pinned", path], capture_output=True)
                if show.returncode or not show.stdout:
                    continue
                kind = json.loads(show.stdout).get("type", "")
                if kind not in ("hash", "lpm_trie", "hash_of_maps", "lru_hash"):
                    continue
                dump = subprocess.run(["bpftool", "-j", "map", "dump", "pinned", path], capture_output=True)
                try:
                    held[os.path.relpath(path, self.bpffs)] = len(json.loads(dump.stdout))
                except ValueError:
                    held[os.path.relpath(path, self.bpffs)] = dump.stderr.decode()
        return held

    def pin_dir(self):
        """The directory of pins; its name carries the version of the ABI."""
        return "%s/%s" % (self.bpffs, [n for n in os.listdir(self.bpffs) if n[0] == "v" and n[1:].isdigit()][0])

    def pins(self):
        return sorted(os.path.join(b, f) for b, d, files in os.walk(self.bpffs) for f in files + d)

    def close(self):
        if self.proc.poll() is not None:
            self.start()
        for name in self.branes():
            try:
                self.call("Control.Delete", name=name)
            except Refused:
                pass
        self.stop()
        shutil.rmtree(self.bpffs, ignore_errors=True)
        for path in (self.cgroup + ".shims", self.cgroup):
            try:
                os.rmdir(path)
            except OSError:
                pass
        if self.tmpfs:
            subprocess.run(["umount", "-l", self.state], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)
