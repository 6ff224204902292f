#!/usr/bin/python3
"""--self-guard=strict: not even root outside every brane reaches the agent, until it is released.

In:   OMEGA_BUILD. Out: TAP. Called by: make check, in the VM. Each way is tried twice: on a twin that is
nobody's, where it must work, else it tests nothing; and on the agent, where it must be refused, harm nothing and be
in the log. The agent comes back after an end; what only looks like omegad does not become the agent.
"""
import array
import ctypes
import fcntl
import json
import os
import resource
import shutil
import signal
import socket
import struct
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
        self.pin, self.map_id = self.map, map_id(self.map)
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
    ("file.write", "oom_score_adj", each(lambda p: put("/proc/%d/oom_score_adj" % p, "0"))),
    ("file.write", "lock the log", lambda t: flock(t.log)),
    ("file.write", "chattr the log", lambda t: chattr(t.log)),
    ("file.write", "a watch that must be answered", lambda t: fanotify(t.state)),
    ("file.write", "a second name of the log, overlaid", lambda t: overlay(t)),
    ("file.read", "the key, overlaid", lambda t: overlay_key(t)),
    ("file.write", "the log by its handle", lambda t: by_handle(t.log)),
    ("mount", "mount over the state directory", lambda t: mounted(t.state)),
    ("mount", "bind over a program", lambda t: mounted(t.program, bind="/usr/bin/true")),
    ("mount", "mount over what is above", lambda t: mounted(os.path.dirname(t.state))),
    ("mount", "the same in a namespace that passes it on", lambda t: passed_on(t.state)),
    ("scope", "move to another cgroup", lambda t: moved(t)),
    ("bpf", "get a map", lambda t: obj_get(t.map)),
    ("bpf", "get a map by its number", lambda t: by_id(14, t.map_id)),
)


def flock(path):
    with open(path) as f:
        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)


def chattr(path):
    with open(path) as f:
        flags = array.array("l", [0])
        fcntl.ioctl(f, 0x80086601, flags)
        fcntl.ioctl(f, 0x40086602, flags)


def fanotify(path):
    fd = call(300, 4, 0)
    try:
        name = ctypes.create_string_buffer(path.encode())
        call(301, fd, 1, 0x00010000, -100, name)
    finally:
        os.close(fd)


def mount(source, target, kind, flags=0, data=None):
    if libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags),
                  data.encode() if data else None):
        raise OSError(ctypes.get_errno(), "mount")


def mounted(path, bind=None):
    mount(bind or "x", path, "none" if bind else "tmpfs", 4096 if bind else 0)
    libc.umount2(path.encode(), 2)


def passed_on(path):
    """A new mount namespace whose mounts are peers of this one's."""
    code = "import sys; sys.path.insert(0, %r); import test_strict as t; t.mounted(%r)" % (
        os.path.dirname(os.path.abspath(__file__)), path)
    mount("none", "/tmp", "none", 1 << 20)
    got = subprocess.run(["unshare", "-m", "--propagation", "unchanged", sys.executable, "-c", code],
                         capture_output=True)
    if got.returncode:
        raise OSError(1 if b"Errno 1]" in got.stderr else 5, got.stderr.decode())


def overlay(t, what="/audit/stream/000000000000.log", mode="ab"):
    """What lies in the state directory, under the name of an overlay's."""
    base = os.path.dirname(t.state)
    upper, work, at = t.state, base + "-work", base + "-at"
    os.makedirs(work, exist_ok=True)
    os.makedirs(at, exist_ok=True)
    mount("overlay", at, "overlay", 0, "lowerdir=/usr/share/doc,upperdir=%s,workdir=%s" % (upper, work))
    try:
        with open(at + what, mode) as f:
            if mode == "rb":
                f.read(1)
            else:
                f.write(b"")
    finally:
        libc.umount2(at.encode(), 2)


def overlay_key(t):
    overlay(t, "/substrate.key", "rb")


def by_handle(path):
    """Opened by its handle, after the kernel forgot the names that lead there."""
    handle = ctypes.create_string_buffer(struct.pack("II", 120, 0) + bytes(120))
    mnt = ctypes.c_int()
    name = ctypes.create_string_buffer(path.encode())
    call(303, -100, name, handle, ctypes.byref(mnt), 0)
    put("/proc/sys/vm/drop_caches", "2")
    at = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.close(call(304, at, handle, os.O_WRONLY))
    finally:
        os.close(at)


def moved(t):
    """Into a cgroup where it could be frozen or killed."""
    with open("/proc/mounts") as f:
        root = [line.split()[1] for line in f if line.split()[2] == "cgroup2"][0]
    other = tempfile.mkdtemp(prefix="omega-twin-", dir=root)
    left = []
    for p in t.pids:
        with open("/proc/%d/cgroup" % p) as f:
            was = root + f.read().strip().split("::")[1]
        try:
            put(other + "/cgroup.procs", str(p))
        except OSError as e:
            left.append(e)
            continue
        try:
            put(was + "/cgroup.procs", str(p))
        except OSError:
            sys.exit("Bail out! %d was moved and cannot be moved back" % p)
    os.rmdir(other)
    if len(left) == len(t.pids):
        raise left[0]


def by_id(cmd, number):
    os.close(call(321, cmd, (ctypes.c_uint32 * 32)(number), 12))


def map_id(path):
    got = subprocess.run(["bpftool", "-j", "map", "show", "pinned", path], capture_output=True, check=True)
    return json.loads(got.stdout)["id"]


def shim(a):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.connect(a.run + "/shim.sock")


def workload(a):
    """The brane's own process, out of its cgroup: its programs and limits would be gone."""
    t = Target()
    with open(a.cgroup + "/held/cgroup.procs") as f:
        t.pids = [int(f.readline())]
    moved(t)


# What there is only one of: it must work before the guard is strict, and after its release.
ALONE = (
    ("net.unix", "connect to the shims' socket", shim),
    ("file.write", "sysrq", lambda a: put("/proc/sysrq-trigger", "h")),
    ("system", "/proc/kcore", lambda a: read("/proc/kcore")),
    ("scope", "move a brane's process", workload),
)
HARM = (("mount", "umount what leads to it", lambda a: umount(os.path.dirname(a.dir))),
        ("mount", "umount the pins", lambda a: umount("/sys/fs/bpf")),
        ("file.write", "kill all branes", lambda a: put(a.cgroup + "/cgroup.kill", "1")))


def umount(path):
    if libc.umount2(path.encode(), 2):
        raise OSError(ctypes.get_errno(), "umount")


def alone(a, when, strict):
    for op, name, way in ALONE + (HARM if strict else ()):
        got = refused(lambda: way(a))
        check("%s: %s" % (when, name), got == 1 if strict else got is None, got)
    for op, name, way in ALONE if strict else ():
        check("%s: %s: in the log" % (when, name), until(lambda: [e for e in denials(a) if e["what"] == op], 10))


def denials(a):
    return [e for e in a.events() if e["rule"] == "self-guard"]


def tries(a, maps):
    t = agent_target(a)
    t.map_id = maps
    before, pins, key = pids(a), a.pins(), os.stat(t.log)
    want = {}
    for op, name, way in WAYS:
        twin = Twin()
        try:
            way(twin)
            works = True
        except OSError as e:
            works = e
        twin.close()
        check("%s: works where nothing is guarded" % name, works is True, works)
        try:
            way(t)
            got = "reached"
        except OSError as e:
            got = e.errno
        check("%s: refused" % name, got in (1, 13), got)
        want[op] = want.get(op, 0) + 1
    for op in want:
        new = until(lambda: [e for e in denials(a) if e["what"] == op and e["brane"] == "@node"], 10)
        check("%s: in the log" % op, new and len(new) >= want[op], want[op], new)
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
    for var in ("LD_PRELOAD", "LD_AUDIT"):
        check("what %s named was not mapped" % var, until(lambda: [
            e for e in denials(a) if e["what"] == "file.exec" and var + ".so" in e["object"]], 10), denials(a)[-5:])
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
    lib = tempfile.mkdtemp(prefix="omega-lib.") + "/evil.so"
    shutil.copy("/lib/x86_64-linux-gnu/libcrypt.so.1", lib)
    for var in ("LD_PRELOAD", "LD_AUDIT"):
        code = "%s/%s.so" % (os.path.dirname(lib), var)
        os.rename(lib, code)
        subprocess.run(["env", var + "=" + code] + a.argv + ["--state-dir", "/tmp"], capture_output=True, timeout=60)
        os.rename(code, lib)
    for name, how in (("in another root", ["chroot", bound()]), ("in another mount namespace", ["unshare", "-m"]),
                      ("under a system call filter", [sys.executable, "-c", FILTER]),
                      ("traced", [sys.executable, "-c", TRACED]),
                      ("beside a task that shares its root", [sys.executable, "-c", SHARED])):
        got = subprocess.run(how + a.argv, capture_output=True, timeout=60)
        check("omegad %s is refused" % name, got.returncode == 5 and b"OM2011" in got.stderr, got)
    subprocess.run(["umount", "-l", "/tmp/omega-root"], check=True)
    copy = tempfile.mkdtemp(prefix="omega-copy.") + "/omegad"
    shutil.copy(BUILD + "/omegad", copy)
    got = subprocess.run([copy] + a.argv[1:] + ["--libexec", BUILD], capture_output=True, timeout=60)
    check("a copy of omegad is refused", got.returncode == 5 and b"OM2011" in got.stderr, got)


def bound():
    """Another mount of the same root, with everything below it."""
    os.makedirs("/tmp/omega-root", exist_ok=True)
    mount("/", "/tmp/omega-root", "none", 4096 | 16384)  # MS_BIND, MS_REC
    mount("none", "/tmp/omega-root", "none", 16384 | 1 << 18)  # MS_PRIVATE: its umount is nobody else's
    return "/tmp/omega-root"


FILTER = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
insn = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7fff0000))
prog = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 1, ctypes.addressof(insn)))
assert libc.prctl(22, 2, prog) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""
TRACED = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
pid = os.fork()
if not pid:
    libc.ptrace(0, 0, 0, 0)
    os.execv(sys.argv[1], sys.argv[1:])
while True:
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status):
        sys.exit(os.WEXITSTATUS(status))
    if os.WIFSIGNALED(status):
        sys.exit(99)
    libc.ptrace(7, pid, 0, 0)
"""
SHARED = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
# clone(CLONE_FS): a child that shares the root directory and stays
pid = libc.syscall(56, 0x200 | signal.SIGCHLD, 0, 0, 0, 0)
if not pid:
    signal.pause() if os.getppid() == 1 else __import__("time").sleep(20)
    os._exit(0)
os.execv(sys.argv[1], sys.argv[1:])
"""


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
    alone(a, "released", False)
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
    maps = map_id(a.pin_dir() + "/om_branes")
    alone(a, "before", False)
    a.stop()
    a.argv += ["--self-guard", "strict"]
    a.start(wait=False)
    if not until(lambda: "role_failed" in a.log() or a.ready()) or "role_failed" in a.log():
        sys.exit("Bail out! " + a.log())
    check("the level is told", a.call("Observe.Version").get("self_guard") == "strict", a.log())
    check("a brane from before runs on", until(lambda: "good" in a.output("held")), a.log())
    check("that it is strict is in the log", [e for e in a.events() if e["kind"] == "guard.strict"])
    tries(a, maps)
    alone(a, "strict", True)
    comes_back(a)
    released(a)
    check("an orderly end", a.stop() == 0, a.log())
    a.close()
    done()


if __name__ == "__main__":
    main()
