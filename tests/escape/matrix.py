#!/usr/bin/python3
"""Every row of the escape catalogue, in three modes, under a real omegad: the matrix of one kernel.

In:   OMEGA_BUILD; ROW... chooses rows (all). Out: TAP, a line for each row and mode, and
      build/escape/KERNEL.json for tests/escape/table.py. Called by: make escape, make check, in the VM.
Modes (tests/escape/lib/escape.h): granted: it must reach what it is after. denied: it must not, and
leaves exactly the records it declares, of the kinds it declares. blind: ring buffer full and agent
killed: it must not, and every denial is counted.
Records are told apart by the brane's sequence number before and after a try, those of seccomp by the
name that each try gives its process. Never asserts on time.
"""
import ctypes
import glob
import json
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "util"))
import omegad  # noqa: E402
import tighter  # noqa: E402
from omegad import BUILD, Agent, check, done, until  # noqa: E402

SKIP = 254
PATIENCE = 60  # seconds; a try that hangs is ended after 20
FLOOD = 9000  # absent paths: more than the ring holds
SHM_KEY = 0x6F6D6573
SYS_BPF = 321  # x86_64


class Stats:
    """The kernel's own counters of a brane, read from the pins: they need no agent."""

    def __init__(self, bpffs):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.map = self.get(glob.glob(bpffs + "/*/om_stats")[0])
        self.branes = self.get(glob.glob(bpffs + "/*/om_branes")[0])

    def bpf(self, cmd, attr):
        buf = ctypes.create_string_buffer(attr, 128)
        return self.libc.syscall(SYS_BPF, cmd, buf, 128)

    def get(self, path):
        name = ctypes.create_string_buffer(path.encode())
        fd = self.bpf(7, struct.pack("QII", ctypes.addressof(name), 0, 0))
        if fd < 0:
            sys.exit("Bail out! cannot open the pin " + path)
        return fd

    def lookup(self, fd, key, size):
        # The kernel writes the whole value, which may be longer than what is asked for here.
        k, v = ctypes.create_string_buffer(key), ctypes.create_string_buffer(65536)
        if self.bpf(1, struct.pack("IIQQQ", fd, 0, ctypes.addressof(k), ctypes.addressof(v), 0)) < 0:
            return None
        return v.raw[:size]

    def number(self, cgroup):
        """The brane's number, by the id of its cgroup."""
        want, key = os.stat(cgroup).st_ino, None
        nxt = ctypes.create_string_buffer(4)
        while True:
            k = ctypes.create_string_buffer(key) if key else None
            attr = struct.pack("IIQQ", self.branes, 0, ctypes.addressof(k) if k else 0, ctypes.addressof(nxt))
            if self.bpf(4, attr) < 0:
                return None
            key = nxt.raw[:4]
            slot = self.lookup(self.branes, key, 24)
            if slot and struct.unpack("IIIIQ", slot)[4] == want:
                return key

    def of(self, number):
        """(seq, events, folded, lost)."""
        raw = self.lookup(self.map, number, 1 << 16)  # the four, and counters of what found the ring full
        return struct.unpack("QQQQ", raw[:32]) if raw else (0, 0, 0, 0)


class Try:
    def __init__(self, program, row, fields):
        self.program, self.row = program, row
        self.name, self.kind, self.denials, self.granted, self.why, self.swap = fields
        self.kinds, self.denials = self.kind.split("|"), int(self.denials)
        self.comm = "esc%03d.%d" % (row["row"], len(row["tries"]))
        self.id = "%03d %s" % (row["row"], self.name)

    def seccomp_only(self):
        return self.kinds == ["syscall"]


def core_pattern(text):
    """False when the kernel refuses it."""
    try:
        with open("/proc/sys/kernel/core_pattern", "w") as f:
            f.write(text)
        return True
    except OSError:
        return False


def catalogue(only):
    """The rows that the programs describe."""
    rows = []
    for program in sorted(glob.glob(BUILD + "/tests/escape/*/[0-9]*"), key=os.path.basename):
        number = int(os.path.basename(program)[:3])
        if only and number not in only:
            continue
        row = None
        for line in subprocess.check_output([program, "--describe"], text=True).splitlines():
            word, *fields = line.split("\t")
            if word == "row":
                row = {"row": number, "title": fields[1], "stop": fields[2], "tries": [],
                       "family": program.split("/")[-2]}
                assert int(fields[0]) == number, program
            else:
                row["tries"].append(Try(program, row, fields))
        rows.append(row)
    return sorted(rows, key=lambda r: r["row"])


def serve(sock, keep=0):
    """Answers and hangs up; KEEP: not on the last so many, since a try may want to send."""
    sock.listen(64)
    kept = []

    def loop():
        while True:
            try:
                kept.append(sock.accept()[0])
                if len(kept) > keep:
                    kept.pop(0).close()
            except OSError:
                pass

    threading.Thread(target=loop, daemon=True).start()


def echoes(sock):
    """Says what it is told, for as long as it is told anything."""
    sock.listen(64)

    def talk(conn):
        try:
            while conn.sendall(conn.recv(64) or b"") is None and conn.recv(1, socket.MSG_PEEK):
                pass
        except OSError:
            pass
        conn.close()

    def loop():
        while True:
            threading.Thread(target=talk, args=(sock.accept()[0],), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()


class Scene:
    """What the host has and no brane may reach, and what every brane may."""

    def __init__(self):
        self.top = tempfile.mkdtemp(prefix="om-escape-", dir="/run")
        os.chmod(self.top, 0o755)
        self.sockets = []
        self.givers = []
        self.dirs = self.top + "/host"
        os.mkdir(self.dirs)
        self.bin = self.top + "/bin"
        os.mkdir(self.bin)
        self.ports = {}
        for name, kind in (("tcp", socket.SOCK_STREAM), ("tcp2", socket.SOCK_STREAM),
                           ("udp", socket.SOCK_DGRAM), ("udp2", socket.SOCK_DGRAM)):
            self.ports[name] = self.inet(kind)
        self.ports["flow"] = self.inet(socket.SOCK_STREAM, echo=True)
        self.ports["own"], self.ports["listen"] = self.free(), self.free()
        # Below what the granting brane may write: a socket is judged where it was bound.
        self.unix(self.dirs + "/sock", socket.SOCK_STREAM)
        self.unix("\0om-escape", socket.SOCK_STREAM)
        self.unix("\0om-escape-d", socket.SOCK_DGRAM)
        # A brane counts its processes from 1: the numbers of the victim, and of the agent after it, are none of those.
        with open("/proc/sys/kernel/ns_last_pid", "w") as f:
            f.write("20000")
        self.victim = subprocess.Popen(["sleep", "100000"], stdin=subprocess.DEVNULL)
        libc = ctypes.CDLL(None)
        self.shm = libc.shmget(SHM_KEY, 4096, 0o1600)
        librt = ctypes.CDLL("librt.so.1")
        attr = struct.pack("8q", 0, 1, 8, 0, 0, 0, 0, 0)
        self.mq = librt.mq_open(b"/om-escape", os.O_CREAT | os.O_RDWR, 0o600, attr)
        self.core = self.top + "/core"
        self.unix(self.top + "/core-sock", socket.SOCK_STREAM, 0)
        self.has_core_sock = not core_pattern("@relative")  # old kernels take it for a file's name

    def inet(self, kind, echo=False):
        """The same port on 127.0.0.1 and ::1."""
        while True:
            four = socket.socket(socket.AF_INET, kind)
            four.bind(("127.0.0.1", 0))
            port = four.getsockname()[1]
            six = socket.socket(socket.AF_INET6, kind)
            try:
                six.bind(("::1", port))
            except OSError:
                continue
            for s in (four, six):
                self.sockets.append(s)
                if echo:
                    echoes(s)
                elif kind == socket.SOCK_STREAM:
                    serve(s)
            return port

    @staticmethod
    def free():
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            return s.getsockname()[1]

    def unix(self, name, kind, keep=64):
        s = socket.socket(socket.AF_UNIX, kind)
        s.bind(name)
        self.sockets.append(s)
        if kind == socket.SOCK_STREAM:
            serve(s, keep)

    def take(self, program):
        """The program's copy that branes may run."""
        to = self.bin + "/" + os.path.basename(program)
        if not os.path.exists(to):
            shutil.copy(program, to)
            os.chmod(to, 0o755)
        return to

    def prepare(self, name, socket_core=False):
        """A directory for one try: absent paths are counted, not recorded again, so none is used twice."""
        top = self.dirs + "/" + name
        if os.path.isdir(top):
            shutil.rmtree(top)
        os.makedirs(top + "/sub")
        for path in (top + "/secret", top + "/sub/secret"):
            with open(path, "w") as f:
                f.write("secret\n")
        shutil.copy(BUILD + "/tests/escape/lib/prog", top + "/prog")
        os.link(self.dirs + "/sock", top + "/sock")
        core_pattern("@%s/core-sock" % self.top if socket_core else "|/bin/dd of=" + self.core)
        return top

    def give(self, write):
        """The host's process that hands descriptors to whoever listens in a brane's directory."""
        words = ["%s=%d" % (k, self.ports[k]) for k in ("tcp", "udp")]
        self.givers.append(subprocess.Popen([BUILD + "/tests/escape/lib/giver", "write=" + write,
                                             "victim=%d" % self.victim.pid, "cgroup=/sys/fs/cgroup"] + words))

    def close(self):
        for giver in self.givers:
            giver.kill()
            giver.wait()
        self.victim.kill()
        self.victim.wait()
        subprocess.run(["ipcrm", "-M", str(SHM_KEY)], capture_output=True)
        ctypes.CDLL("librt.so.1").mq_unlink(b"/om-escape")
        shutil.rmtree(self.top, ignore_errors=True)

    def whole(self):
        """What a brane must not have changed."""
        bad = []
        if self.victim.poll() is not None:
            bad.append("the victim was killed")
        if subprocess.run(["ipcs", "-m"], capture_output=True, text=True).stdout.find("0x%08x" % SHM_KEY) < 0:
            bad.append("the shared memory was removed")
        if os.path.exists(self.core):
            bad.append("a core of a brane's task was piped to the host's handler")
        return bad


class Brane:
    """A brane whose command is the driver."""

    def __init__(self, agent, scene, name, grants):
        self.agent, self.scene, self.name, self.grants = agent, scene, name, grants
        self.write = "%s/%s" % (scene.top, name)
        os.mkdir(self.write)
        self.go, self.done_, self.out = (self.write + "/" + f for f in ("go", "done", "out"))
        os.mkfifo(self.go)
        os.mkfifo(self.done_)
        scene.give(self.write)
        agent.apply(self.manifest())
        self.w = open(self.go, "w")
        self.r = open(self.done_)
        self.stats = Stats(agent.bpffs)
        self.number = self.stats.number("%s/%s" % (agent.cgroup, name))
        self.before = self.doing = None

    def now(self):
        return self.stats.of(self.number)

    def manifest(self):
        s, p = self.scene, self.scene.ports
        egress = ["127.0.0.1:%d/%s" % (p["own"], k) for k in ("tcp", "udp")]
        fs = 'write = ["%s/"]\n' % self.write
        execs, extra, net = [s.bin + "/"], "", ""
        # Words are for tries that are stopped while their policy is tightened.
        if self.grants in (True, "net", "net-tight", "file", "exec"):
            execs.append(s.dirs + "/")
        if self.grants in ("file", "exec", "exec-tight"):
            fs += 'read = ["%s/"]\n' % s.dirs
        if self.grants in (True, "net", "net-tight"):
            fs = 'write = ["%s/", "%s/"]\nallow-write-exec = true\n' % (self.write, s.dirs)
        if self.grants in (True, "net"):
            for k, proto in (("tcp", "tcp"), ("flow", "tcp"), ("udp", "udp")):
                egress += ["127.0.0.1:%d/%s" % (p[k], proto), "[::1]:%d/%s" % (p[k], proto)]
            net = 'listen = ["%d/tcp", "%d/udp"]\n' % (p["listen"], p["listen"])
        return ('[brane.%s]\nsubstrate = "local"\ncapability = "standard"\nimage = "host:"\nuser = 0\n'
                'command = %s\n%s[brane.%s.filesystem]\n%sexec = %s\n[brane.%s.network]\negress = %s\n%s' % (
                    self.name, json.dumps([s.bin + "/driver", "go=" + self.go, "done=" + self.done_,
                                           "out=" + self.out]),
                    extra, self.name, fs, json.dumps(execs), self.name, json.dumps(egress), net))

    def send(self, *words):
        self.w.write("\t".join(map(str, words)) + "\n")
        self.w.flush()

    def do(self, *words):
        """The wait status, or None when the driver is gone. Once a program has started: its counters."""
        self.send(*words)
        line = self.answer()
        if line == "stopped\n":
            self.before = self.now()
            self.send("go")
            line = self.answer()
        return int(line) if line else None

    def answer(self):
        """A line of the driver, which ends a try that hangs: without one the driver itself is stuck."""
        if not select.select([self.r], [], [], PATIENCE)[0]:
            print("Bail out! the driver of brane %s does not answer in %s" % (self.name, self.doing))
            sys.stdout.flush()
            subprocess.run(["ps", "-e", "-o", "pid,ppid,stat,wchan:24,comm"], check=False)
            os._exit(1)
        return self.r.readline()

    def said(self):
        try:
            with open(self.out, errors="replace") as f:
                return f.read().strip()
        except OSError:
            return ""


def scene_words(scene, agent, brane, dirname, write, mode, program):
    words = {"dir": dirname, "write": write, "victim": scene.victim.pid, "shm": SHM_KEY, "mq": "/om-escape",
             "abstract": "om-escape", "abstract_d": "om-escape-d", "mode": mode, "self": program,
             "run": agent.run, "state": agent.state, "bpffs": agent.bpffs, "pins": glob.glob(agent.bpffs + "/v*")[0], "cgroup": os.path.dirname(agent.cgroup),
             "branes": agent.cgroup, "agent": agent.proc.pid, "brane": brane}
    words.update(scene.ports)
    if scene.has_core_sock:
        words["coresock"] = 1
    return ["%s=%s" % item for item in words.items()]


def outcome(status, said):
    """(word, errno or signal): reached, stopped, skip, broken."""
    if status is None:
        return "broken", "the driver is gone"
    if os.WIFSIGNALED(status):
        return "stopped", signal.Signals(os.WTERMSIG(status)).name
    code = os.WEXITSTATUS(status)
    if code == 0:
        return "reached", ""
    if code == SKIP:
        return "skip", said.splitlines()[-1] if said else "no reason given"
    if code >= 252:
        return "broken", said or "status %d" % code
    return "stopped", os.strerror(code) if code < 134 else "signal %d" % (code - 128)


def inside(brane, t, scene, agent):
    program = scene.take(t.program)
    name = "%s-%s" % (brane.name, t.comm)
    top = scene.prepare(name, t.name == "crash-socket")
    brane.before, brane.doing = brane.now(), t.id
    status = brane.do("run", program, "try=" + t.name, "stop=1",
                      *scene_words(scene, agent, brane.name, top, brane.write, "inside", program))
    got = outcome(status, brane.said())
    return got


def outside(t, scene, agent):
    top, write = scene.prepare("free-" + t.comm, t.name == "crash-socket"), scene.top + "/free"
    os.makedirs(write, exist_ok=True)
    got = subprocess.run([scene.take(t.program), "try=" + t.name,
                          *scene_words(scene, agent, "", top, write, "outside", t.program)],
                         capture_output=True, text=True, errors="replace", start_new_session=True)
    code = got.returncode
    return outcome(code << 8 if code >= 0 else -code, (got.stdout + got.stderr).strip())


def granted(t, scene, agent, brane):
    if t.granted == "never":
        return {"result": "none", "why": t.why}
    word, why = inside(brane, t, scene, agent) if t.granted == "inside" else outside(t, scene, agent)
    return {"result": word, "why": why, "good": word in ("reached", "skip")}


def denied(t, scene, agent, brane):
    word, why = inside(brane, t, scene, agent)
    return {"result": word, "why": why, "from": brane.before[0], "to": brane.now()[0]}


def judge_denied(t, m, records):
    """Exactly the declared records, by number in the kernel or by the name of the process in the shim."""
    if m["result"] == "skip":
        m["good"] = True
        return
    own = [r for r in records if m["from"] <= r.get("seq", -1) < m["to"]]
    own += [r for r in records if "shim_seq" in r and r.get("proc") == t.comm]
    m["records"] = [" ".join(str(r.get(k, "")) for k in ("op", "layer", "hook", "obj", "rule")) for r in own]
    problems = []
    if m["result"] != "stopped":
        problems.append("it " + m["result"])
    if len(own) != t.denials:
        problems.append("%d records, not %d" % (len(own), t.denials))
    problems += ["a record of %s" % r.get("op") for r in own if r.get("op") not in t.kinds]
    kernel = len([r for r in own if "seq" in r])
    if kernel != m["to"] - m["from"]:
        problems.append("%d denials in the kernel, %d recorded" % (m["to"] - m["from"], kernel))
    m["problems"], m["good"] = problems, not problems


def judge_blind(t, brane, word, why):
    before, after = brane.before, brane.now()
    made, sent = after[0] - before[0], after[1] - before[1]
    counted = after[2] - before[2] + after[3] - before[3]
    m = {"result": word, "why": why, "counted": counted, "problems": []}
    if word == "skip":
        m["good"] = True
        return m
    if word != "stopped":
        m["problems"].append("it " + word)
    if sent or made != counted:
        m["problems"].append("%d denials, %d sent, %d counted" % (made, sent, counted))
    # What seccomp stops is counted in the shim: those are added up at the end.
    if "syscall" not in t.kinds and made != t.denials:
        m["problems"].append("%d denials, not %d" % (made, t.denials))
    m["good"] = not m["problems"]
    return m


def tightened(t, scene, agent):
    """As denied, judged: while the try was stopped, what it had opened stopped being granted."""
    held = tighter.Held(sys.modules[__name__], agent, scene, t, "tight")
    word, why = held.finish()
    m = {"result": word, "why": why, "from": held.brane.before[0], "to": held.brane.now()[0]}
    judge_denied(t, m, deleted(agent, held.brane.name))
    return m


def deleted(agent, name):
    """All records of a brane that ends here: they are in the log once its end is, the last of its stream."""
    agent.call("Control.Delete", name=name)
    return until(lambda: (lambda e: e if any(x.get("kind") == "log.close" for x in e) else None)(
        flat(agent.events("--brane", name)))) or []


def flat(events):
    """The data of each denial, whatever the envelope looks like."""
    out = []
    for e in events:
        d = dict(e.get("data", {}))
        for key in ("seq", "shim_seq", "count"):  # 64-bit numbers are strings in JSON
            if key in d:
                d[key] = int(d[key])
        d.setdefault("kind", e.get("kind"))
        out.append(d)
    return out


def run_blind(rows, scene, agent, results):
    """Mode three: kill the agent, fill the ring, and try everything again."""
    brane = Brane(agent, scene, "blind", False)
    # A policy cannot be tightened without the agent: it is, and then the agent goes.
    held = {t.id: tighter.Held(sys.modules[__name__], agent, scene, t, "blind")
            for row in rows for t in row["tries"] if t.swap}
    roles = [agent.role(r) for r in ("load", "drain", "sign", "compile", "api")]
    agent.stop(signal.SIGKILL)
    until(lambda: not any(r and os.path.exists("/proc/%d" % r) for r in roles))
    for _ in range(4):
        brane.do("flood", FLOOD)
        before = brane.now()
        brane.do("flood", 8)
        if brane.now()[1] == before[1]:
            break
    seq, events, folded, lost = brane.now()
    check("blind: the ring is full and the agent is gone", events == before[1],
          "%d denials, %d events" % (seq, events))
    calls = 0
    for row in rows:
        for t in row["tries"]:
            if t.swap:
                m = judge_blind(t, held[t.id].brane, *held[t.id].finish())
            else:
                got = inside(brane, t, scene, agent)
                m = judge_blind(t, brane, *got)
            results[t.id]["blind"] = m
            if m["result"] == "stopped" and t.seccomp_only():
                calls += t.denials
    end = brane.now()
    agent.start()
    # Counts are read once a second; then they are in the log.
    def total(why):
        return sum(int(e.get("count", 0)) for e in flat(agent.events("--brane", "blind")) if e.get("why") == why)
    full = until(lambda: total("ring-full") + total("repeat") + total("counters-full") >= end[2] + end[3], 30)
    check("blind: what the kernel counted is in the log after the restart", full,
          "%s: ring-full %d, repeat %d, lost %d in the log" % (
              end, total("ring-full"), total("repeat"), total("counters-full")))
    shim = until(lambda: total("nobody-listened") >= calls, 30)
    check("blind: what seccomp denied meanwhile is in the log after the restart", shim,
          "%d denied, %d counted" % (calls, total("nobody-listened")))


def report(rows, results, mode):
    for row in rows:
        bad, skips, n = [], [], 0
        for t in row["tries"]:
            m = results[t.id].get(mode)
            if m is None or m["result"] == "none":
                continue
            n += 1
            if m["result"] == "skip":
                skips.append("%s: %s" % (t.name, m["why"]))
            elif not m["good"]:
                bad.append("%s: %s %s %s %s" % (t.name, m["result"], m["why"], "; ".join(m.get("problems", [])),
                                                m.get("records", "")))
        name = "%03d %s: %s" % (row["row"], mode, row["title"])
        if n and len(skips) == n:
            omegad.count += 1
            print("ok %d - %s # SKIP %s" % (omegad.count, name, skips[0]))
        elif n:
            check(name, not bad, *bad)


def main():
    only = [int(a) for a in sys.argv[1:]]
    rows = catalogue(only)
    tries = [t for row in rows for t in row["tries"]]
    began = time.monotonic()
    scene, agent = Scene(), Agent().start()
    scene.take(BUILD + "/tests/escape/lib/driver")
    for t in tries:
        scene.take(t.program)
    results = {t.id: {"row": t.row["row"], "name": t.name, "kind": t.kind, "denials": t.denials,
                       "silent": "" if t.denials else t.why} for t in tries}
    assert len(results) == len(tries), "two tries of one row share a name"
    brane = Brane(agent, scene, "granted", True)
    for t in tries:
        results[t.id]["granted"] = granted(t, scene, agent, brane)
    report(rows, results, "granted")
    if os.path.exists(scene.core):  # of the tries outside
        os.unlink(scene.core)
    brane = Brane(agent, scene, "denied", False)
    for t in tries:
        results[t.id]["denied"] = tightened(t, scene, agent) if t.swap else denied(t, scene, agent, brane)
    last = brane.now()[0]
    records = deleted(agent, "denied")
    for t in tries:
        if not t.swap:
            judge_denied(t, results[t.id]["denied"], records)
    report(rows, results, "denied")
    numbers = [r["seq"] for r in records if "seq" in r]
    counts = sum(int(r.get("count", 0)) for r in records
                 if r.get("why") in ("repeat", "ring-full") or r.get("act") == "absent")
    check("every denial is in the log once", len(set(numbers)) == len(numbers) and len(numbers) + counts == last,
          "%d denials, %d records, %d counted" % (last, len(numbers), counts))
    bad = scene.whole()
    check("nothing of the host's was changed", not bad, *bad)
    run_blind(rows, scene, agent, results)
    report(rows, results, "blind")
    code, out, err = agent.verify()
    if not check("the log verifies", code in (0, 11), out, err):
        shutil.copytree(agent.state + "/audit", BUILD + "/escape/audit-" + os.uname().release, dirs_exist_ok=True)
    agent.close()
    scene.close()
    os.makedirs(BUILD + "/escape", exist_ok=True)
    kernel = re.match(r"\d+\.\d+", os.uname().release)[0]
    name = os.environ.get("OMEGA_VM") or kernel
    with open("%s/escape/%s.json" % (BUILD, name), "w") as f:
        json.dump({"kernel": name, "release": os.uname().release, "seconds": round(time.monotonic() - began),
                   "rows": [{k: row[k] for k in ("row", "title", "stop", "family")} |
                            {"tries": [results[t.id] for t in row["tries"]]} for row in rows]}, f, indent=1)
    print("# %d rows, %d tries" % (len(rows), len(tries)))
    done()


if __name__ == "__main__":
    main()
