#!/usr/bin/python3
"""--self-guard=strict: not even root outside every brane reaches the agent, until it is released.

In:   OMEGA_BUILD. Out: TAP. Called by: make check, in the VM. Each way is tried twice: on a twin that is
nobody's, where it must work, else it tests nothing; and on the agent, where it must be refused, harm nothing and be
in the log. The agent comes back after an end and after the kernel killed a part of it; what only looks like
omegad does not become the agent.
"""
import ctypes
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "util"))
from omegad import BUILD, Agent, check, done, manifest, skip_all, until  # noqa: E402

LOOP = "while :; do read -r x </etc/debian_version && echo good; sleep 0.3; done"
ROLES = ("sign", "drain", "load", "compile", "api")
libc = ctypes.CDLL(None, use_errno=True)


def call(nr, *args):
    got = libc.syscall(ctypes.c_long(nr), *[ctypes.c_long(x) if isinstance(x, int) else x for x in args])
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got


def pids(a):
    with open(a.cgroup + ".shims/held/cgroup.procs") as f:
        return [a.proc.pid] + [a.role(r) for r in ROLES] + [int(p) for p in f]


def gone(cgroup):
    try:
        os.rmdir(cgroup)
    except OSError:
        return not os.path.exists(cgroup)
    return True


class Target:
    """What a way is tried on: the agent, or a twin of it that is nobody's."""


def agent_target(a):
    t = Target()
    t.pids, t.run, t.state, t.pins, t.bpffs = pids(a), a.run, a.state, a.pin_dir(), a.bpffs
    t.pin, t.map = a.pin_dir() + "/om_task_kill", a.pin_dir() + "/om_branes"
    t.link = t.pin
    t.log, t.key = a.state + "/audit/stream/000000000000.log", a.state + "/substrate.key"
    t.cgroup, t.program = a.cgroup, BUILD + "/omegad-load"
    return t


class Twin(Target):
    """A process, a tree, a pinned map and link, a cgroup, a program: made like the agent's."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="omega-twin.")
        self.run, self.state = self.dir + "/run", self.dir + "/state"
        os.makedirs(self.run)
        os.makedirs(self.state + "/audit/stream")
        self.log, self.key = self.state + "/audit/stream/000000000000.log", self.state + "/substrate.key"
        self.program = self.dir + "/program"
        for path in (self.log, self.key, self.program):
            with open(path, "w") as f:
                f.write("x" * 100)
        self.proc = subprocess.Popen(["sleep", "1000"])
        self.pids = [self.proc.pid]
        tag = self.dir.rsplit(".", 1)[1].replace("_", "-")
        self.bpffs = "/sys/fs/bpf/twin-" + tag
        self.pins = self.bpffs + "/v2"
        os.makedirs(self.pins)
        self.map = self.pins + "/twin"
        subprocess.run(["bpftool", "map", "create", self.map, "type", "hash", "key", "4", "value", "4", "entries",
                        "4", "name", "twin"], check=True)
        self.pin = self.map
        with open("/proc/mounts") as f:
            root = [line.split()[1] for line in f if line.split()[2] == "cgroup2"][0]
        self.cgroup = root + "/twin-" + tag
        os.mkdir(self.cgroup)

    def close(self):
        self.proc.kill()
        self.proc.wait()
        until(lambda: gone(self.cgroup))
        shutil.rmtree(self.bpffs, ignore_errors=True)
        shutil.rmtree(self.dir, ignore_errors=True)


def put(path, text):
    with open(path, "w") as f:
        f.write(text)


def each(what):
    """WHAT for every process; the first success is enough."""
    def go(t):
        errors = []
        for p in t.pids:
            try:
                what(p)
                return
            except OSError as e:
                errors.append(e)
        raise errors[0]
    return go


def ptrace(p):
    call(101, 16, p, 0, 0)
    os.waitpid(p, 0x40000000)
    call(101, 17, p, 0, 0)


def remote_read(p):
    buf = ctypes.create_string_buffer(8)
    with open("/proc/%d/maps" % p) as f:
        at = int(f.readline().split("-")[0], 16)
    local = (ctypes.c_uint64 * 2)(ctypes.addressof(buf), 8)
    remote = (ctypes.c_uint64 * 2)(at, 8)
    call(310, p, local, 1, remote, 1, 0)


def read(path):
    with open(path, "rb") as f:
        f.read(1)


def append(path):
    with open(path, "ab"):
        pass


def fresh(t):
    path = tempfile.mktemp(dir=os.path.dirname(t.program))
    put(path, "x")
    return path


def obj_get(path):
    name = ctypes.create_string_buffer(path.encode())
    attr = (ctypes.c_uint64 * 16)(ctypes.addressof(name))
    os.close(call(321, 7, attr, 16))


WAYS = (
    ("signal", "SIGKILL", each(lambda p: os.kill(p, signal.SIGKILL))),
    ("signal", "SIGSTOP", each(lambda p: os.kill(p, signal.SIGSTOP))),
    ("signal", "SIGTERM", each(lambda p: os.kill(p, signal.SIGTERM))),
    ("signal", "by pidfd", each(lambda p: signal.pidfd_send_signal(os.pidfd_open(p), signal.SIGKILL))),
    ("ptrace", "ptrace", each(ptrace)),
    ("ptrace", "process_vm_readv", each(remote_read)),
    ("ptrace", "/proc/PID/mem", each(lambda p: os.close(os.open("/proc/%d/mem" % p, os.O_RDWR)))),
    ("ptrace", "pidfd_getfd", each(lambda p: os.close(call(438, os.pidfd_open(p), 0, 0)))),
    ("ptrace", "nice", each(lambda p: os.setpriority(os.PRIO_PROCESS, p, 19))),
    ("ptrace", "affinity", each(lambda p: os.sched_setaffinity(p, [0]))),
    ("ptrace", "limits", each(lambda p: resource.prlimit(p, resource.RLIMIT_NOFILE, (3, 3)))),
    ("file.remove", "unlink a pin", lambda t: os.unlink(t.pin)),
    ("file.remove", "unlink the log", lambda t: os.unlink(t.log)),
    ("file.remove", "rename the log", lambda t: os.rename(t.log, t.log + "2")),
    ("file.remove", "rename the state directory", lambda t: os.rename(t.state, t.state + "2")),
    ("file.remove", "rename the pins", lambda t: os.rename(t.pins, t.pins + "2")),
    ("file.remove", "rename what is above", lambda t: os.rename(os.path.dirname(t.run), os.path.dirname(t.run) + "2")),
    ("file.write", "write to the log", lambda t: append(t.log)),
    ("file.write", "truncate the log", lambda t: os.truncate(t.log, 0)),
    ("file.write", "chmod the state directory", lambda t: os.chmod(t.state, 0o777)),
    ("file.write", "chown the log", lambda t: os.chown(t.log, 1, 1)),
    ("file.create", "link the key elsewhere", lambda t: os.link(t.key, os.path.dirname(t.state) + "/k")),
    ("file.create", "make a file", lambda t: append(t.run + "/x")),
    ("file.create", "make a directory", lambda t: os.mkdir(t.state + "/x")),
    ("file.create", "make a symlink", lambda t: os.symlink("/", t.run + "/x")),
    ("file.read", "read the key", lambda t: read(t.key)),
    ("file.remove", "unlink a program", lambda t: os.unlink(t.program)),
    ("file.remove", "replace a program", lambda t: os.rename(fresh(t), t.program)),
    ("file.write", "kill the cgroup", lambda t: put(t.cgroup + "/cgroup.kill", "1")),
    ("file.write", "freeze the cgroup", lambda t: put(t.cgroup + "/cgroup.freeze", "0")),
    ("bpf", "get a map", lambda t: obj_get(t.map)),
)


def denials(a):
    return [e for e in a.events() if e["rule"] == "self-guard"]


def tries(a):
    t = agent_target(a)
    before, pins, key = pids(a), a.pins(), os.stat(t.log)
    for op, name, way in WAYS:
        twin = Twin()
        try:
            way(twin)
            works = True
        except OSError as e:
            works = e
        twin.close()
        check("%s: works where nothing is guarded" % name, works is True, works)
        had = len(denials(a))
        try:
            way(t)
            got = "reached"
        except OSError as e:
            got = e.errno
        check("%s: refused" % name, got in (1, 13), got)
        new = until(lambda: [e for e in denials(a)[had:] if e["what"] == op], 10)
        check("%s: in the log" % name, new and all(e["brane"] == "@node" for e in new), denials(a)[had:])
    check("the agent is as it was", pids(a) == before and a.ready(), before, pids(a))
    check("its pins too", a.pins() == pins)
    now = os.stat(t.log)
    check("its log too", (now.st_ino, now.st_uid, now.st_mode) == (key.st_ino, key.st_uid, key.st_mode))
    check("and its brane runs", a.branes()["held"]["state"] == "running")


def comes_back(a):
    """An end in order leaves the guard strict; the next omegad must be the agent again."""
    subprocess.run([sys.executable, "-c", STOP, a.run + "/admin.sock"], check=True)
    check("it ends when it is asked to", a.proc.wait(60) == 0, a.log())
    got = refused(lambda: os.unlink(a.pin_dir() + "/om_task_kill"))
    check("the pins stay guarded", got == 1, got)
    impostors(a)
    a.start()
    check("omegad takes over", a.call("Observe.Version").get("self_guard") == "strict", a.log())
    check("and its brane", a.branes()["held"]["state"] == "running")
    got = refused(lambda: os.kill(a.proc.pid, signal.SIGKILL))
    check("and is guarded again", got == 1, got)
    a.ctl("delete", "held")
    a.apply(manifest("held", LOOP))
    check("it can do its work", until(lambda: "good" in a.output("held")), a.log())


def impostors(a):
    other = tempfile.mkdtemp(prefix="omega-other.")
    for name, change in (("another run directory", ["--run-dir", other]), ("another state directory",
                         ["--state-dir", other]), ("other layers", ["--layers", "process"])):
        got = subprocess.run(a.argv + change, capture_output=True, timeout=60)
        check("omegad with %s is refused" % name, got.returncode == 5 and b"OM2011" in got.stderr, got)
    shutil.rmtree(other)


def refused(what):
    try:
        what()
    except OSError as e:
        return e.errno
    return None


STOP = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b'{"method":"io.omega.Admin.Stop","parameters":{}}\\0')
s.recv(100)
"""


def released(a):
    code, out, err = a.ctl("guard", "release")
    check("the operator releases it", code == 0, out, err)
    check("that is in the log", [e for e in a.events() if e["kind"] == "operator.release"])
    check("the level is told", a.call("Observe.Version").get("self_guard") == "brane")
    check("root reaches it again", refused(lambda: read(a.state + "/substrate.key")) is None)
    a.argv = a.argv[:-2]
    a.stop(signal.SIGKILL)
    a.start()
    check("the next omegad is as it was asked", a.call("Observe.Version").get("self_guard") == "brane")
    code, out, err = a.ctl("guard", "release")
    check("there is nothing to release then", code != 0 and "not strict" in err, code, err)
    check("verify-chain: intact", a.verify()[0] in (0, 11), a.verify())


def main():
    a = Agent()
    a.start()
    if "kernel" not in a.call("Observe.Version").get("layers", []):
        a.close()
        skip_all("this kernel cannot enforce BPF-LSM")
    a.apply(manifest("held", LOOP))
    a.stop()
    a.argv += ["--self-guard", "strict"]
    a.start()
    check("the level is told", a.call("Observe.Version").get("self_guard") == "strict", a.log())
    check("a brane from before runs on", until(lambda: "good" in a.output("held")), a.log())
    check("that it is strict is in the log", [e for e in a.events() if e["kind"] == "guard.strict"])
    tries(a)
    comes_back(a)
    released(a)
    check("an orderly end", a.stop() == 0, a.log())
    a.close()
    done()


if __name__ == "__main__":
    main()
