#!/usr/bin/python3
"""A brane's life under every layer, by omegactl and the control socket: apply, change, run, delete, bad input.

In:   OMEGA_BUILD. Out: TAP. Called by: make check, in the VM. Never asserts on time.
"""
import os
import signal
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "util"))
from omegad import Agent, Refused, check, done, manifest, until  # noqa: E402

FLIPS = 15 if os.environ.get("OMEGA_QUICK") else 60
# Says what went wrong at once, and every 20 rounds that it goes on. Raw sockets and no process of its
# own, so that as many rounds as possible meet every swap; perl-base is on every Debian.
HAMMER = r"""
$| = 1;
sub dial {
  socket(my $s, 2, 1, 6) or return 0;
  setsockopt($s, 1, 21, pack("l! l!", 20, 0)); # SO_SNDTIMEO: a lost SYN is a finding, not the end
  connect($s, pack("S n C4 x8", 2, $_[0], 127, 0, 0, 1));
}
for ($n = 0;; $n++) {
  open(F, "<", "/etc/debian_version") && <F> or print "WRONG denial of the file in round $n: $!\n";
  open(F, "<", "/etc/passwd") and print "WRONG allow of the file in round $n\n";
  dial(8080) or print "WRONG denial of the address in round $n: $!\n";
  dial(8081) and print "WRONG allow of the address in round $n\n";
  print "round $n\n" unless $n % 20;
}
"""


def listen(port):
    """Somebody who answers, so that a connect fails only where it is denied."""
    s = socket.create_server(("127.0.0.1", port), backlog=512)

    def serve():
        while True:
            s.accept()[0].close()

    threading.Thread(target=serve, daemon=True).start()


def rounds(a, name):
    said = [line for line in a.output(name).splitlines() if line.startswith("round ")]
    return int(said[-1].split()[1]) if said else 0


def state_of(pid):
    """Where a process hangs, for a person to read."""
    try:
        return [open("/proc/%s/task/%s/children" % (pid, pid)).read()] + [
            open("/proc/%s/%s" % (pid, f)).read() for f in ("stat", "wchan", "stack")]
    except OSError as e:
        return e


def written(a, name, text):
    path = os.path.join(a.dir, name)
    with open(path, "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    return path


def applies(a):
    file = written(a, "one.toml", manifest("one", "while sleep 1; do :; done"))
    first, second = a.ctl("apply", file), a.ctl("apply", file)
    check("a first apply creates", first[0] == 0 and "created" in first[1], first)
    check("a second apply of the same file: unchanged", second[0] == 0 and "unchanged" in second[1], second)
    pid = a.branes()["one"]["init_pid"]
    changed = written(a, "one.toml", manifest("one", "while sleep 1; do :; done",
                                              egress=("127.0.0.1:9/tcp", "127.0.0.1:7/tcp")))
    third = a.ctl("apply", changed, "--exit-code")
    check("a changed file: configured", third[0] == 10 and "configured" in third[1], third)
    check("without a new workload", a.branes()["one"]["init_pid"] == pid, a.branes())
    both = written(a, "two.toml", manifest("two-a", "exec sleep 1000") + manifest("two-b", "exec sleep 1000"))
    got = a.ctl("apply", both)
    check("two branes of one file", got[0] == 0 and got[1].count("created") == 2
          and {"two-a", "two-b"} <= set(a.branes()), got)
    for state, verb in (("frozen", "freeze"), ("running", "thaw")):
        code, _, err = a.ctl(verb, "two-a")
        check(verb, code == 0 and a.branes()["two-a"]["state"] == state
              and a.branes()["two-b"]["state"] == "running", err)
    got = a.ctl("delete", "two-a", "two-b", "one")
    check("delete of several", got[0] == 0 and not a.branes(), got)


def swaps(a):
    for port in (8080, 8081):
        listen(port)
    texts = [manifest("swap", "", command=["/usr/bin/perl", "-e", HAMMER],
                      egress=("127.0.0.1:8080/tcp", "127.0.0.1:%d/tcp" % p)) for p in (7, 9)]
    a.apply(texts[0])
    until(lambda: rounds(a, "swap") >= 20)
    changes = set()
    for i in range(FLIPS):
        changes.add(a.apply(texts[(i + 1) % 2])[0]["change"])
    check("%d changes of another grant, each one configured" % FLIPS, changes == {"configured"}, changes)
    after = rounds(a, "swap")
    check("the workload goes on through them", until(lambda: rounds(a, "swap") > after),
          a.output("swap")[-1000:], a.branes(), state_of(a.branes()["swap"]["init_pid"]), a.log())
    wrong = [line for line in a.output("swap").splitlines() if "WRONG" in line]
    check("no moment without policy in %d rounds" % rounds(a, "swap"), not wrong, "\n".join(wrong[:20]))


def deletes(a, empty):
    check("the other brane is loaded", a.maps() != empty, empty)
    pid = int(a.branes()["swap"]["init_pid"])
    code, _, err = a.ctl("delete", "swap")
    check("delete while it runs", code == 0, err)
    check("its processes are dead", not os.path.exists("/proc/%d" % pid))
    check("its directory and cgroups are gone", not a.left("swap"), a.left("swap"))
    check("its entries of every map are gone", until(lambda: a.maps() == empty, 10), a.maps(), empty)
    check("it is in the log", until(lambda: a.events("--brane", "swap") and [
        e for e in a.events() if "delete" in e["what"]]), a.events()[-5:])
    try:
        a.call("Control.Delete", name="swap")
        check("a second delete: no such brane", False)
    except Refused as e:
        check("a second delete: no such brane", e.info["exit"] == 4, e.info)


def runs(a):
    file = written(a, "run.toml", manifest("job", "exit 0", egress=()))
    bash = ["/usr/bin/bash", "-c"]
    for what, command, want in (
            ("0", [*bash, "exit 0"], 0), ("3", [*bash, "exit 3"], 3), ("128+n: a signal", [*bash, "kill -TERM $$"], 143),
            ("137: SIGKILL", [*bash, "kill -KILL $$"], 137),
            ("126: not granted", ["/usr/bin/id"], 126), ("125: a start that was rolled back", ["/usr/lib/x86_64-linux-gnu/"], 125)):
        got = a.ctl("run", file, "--", *command, stdin=b"")
        check("run: exit %s" % what, got[0] == want, got)
    got = a.ctl("run", file, "--", "/usr/bin/cat", stdin=b"through a pipe\n")
    check("run: standard streams", got[:2] == (0, "through a pipe\n"), got)
    # Inside the shell says it: what is there but not granted, what is not there.
    got = a.ctl("run", file, "--", *bash, "/etc/debian_version", stdin=b"")
    check("run: 126 for what cannot be executed", got[0] == 126, got)
    got = a.ctl("run", file, "--", *bash, "/usr/bin/nothing-here", stdin=b"")
    check("run: 127 for what is not there", got[0] == 127, got)
    check("run leaves nothing", not a.branes() and not a.left("job"), a.branes())


def restarts(a):
    a.apply(manifest("again", "sleep 0.2; exit 1", 'restart = "on-failure"'))
    check("restart = on-failure starts anew", until(lambda: int(a.branes()["again"]["restarts"]) >= 2), a.branes())
    a.apply(manifest("done", "exit 0", 'restart = "on-failure"'))
    check("but not after success", until(lambda: a.branes()["done"]["state"] == "exited")
          and int(a.branes()["done"]["restarts"]) == 0, a.branes())
    a.ctl("delete", "again", "done")


def rejects(a, empty):
    head = '[brane.bad]\nimage = "host:"\ncommand = ["/usr/bin/bash"]\n'
    exe = '[brane.bad.filesystem]\nexec = ["/usr/bin/bash"]\n'
    net = head + exe + '[brane.bad.network]\negress = ["%s"]\n'
    rows = (
        ("unknown key", head + "egres = 1\n", "OM1203"),
        ("wrong type", head + "workdir = 3\n", "OM1201"),
        ("wrong unit", head + '[brane.bad.limits]\nmemory = "5 parsec"\n', "OM1204"),
        ("duplicate", head + "user = 1\nuser = 2\n", "OM1106"),
        ("a path with ..", head + '[brane.bad.filesystem]\nread = ["/etc/../shadow"]\n', "OM1301"),
        ("host bits", net % "10.2.0.1/16:80", "OM1315"),
        ("port 0", net % "10.2.0.1:0", "OM1305"),
        ("port 65536", net % "10.2.0.1:65536", "OM1305"),
        ("two branes of one name", head + "[brane.bad]\n", "OM1106"),
        ("257 KiB", head + "#" * (257 << 10), "OM1108"),
        ("20 levels", head + "x = " + "[" * 20 + "]" * 20 + "\n", "OM1109"),
        ("invalid UTF-8", head.encode() + b'workdir = "/\xff\xfe"\n', "OM1101"),
        ("NUL", head + 'workdir = "/a\0b"\n', "OM1102"),
        ("an unresolvable path", head + '[brane.bad.filesystem]\nread = ["/no/such/file"]\n'
                                        'exec = ["/usr/bin/", "/usr/lib/x86_64-linux-gnu/",'
                                        ' "/usr/lib64/ld-linux-x86-64.so.2"]\n', "OM2003"),
    )
    pins = a.pins()
    for name, text, ident in rows:
        code, out, err = a.ctl("apply", written(a, "bad.toml", text))
        check("%s: exit 3 and %s" % (name, ident), code == 3 and ident in err + out, (code, out, err))
        # The daemon does not rely on the client: the same bytes at its own socket.
        if isinstance(text, str):
            try:
                a.apply(text)
                check("%s: the daemon refuses it too" % name, False)
            except Refused as e:
                check("%s: the daemon refuses it too" % name, e.info["exit"] == 3
                      or e.info["id"] == "OM3101", e.info)  # what is no JSON text ends as a bad frame
    got = a.ctl("apply", written(a, "bad.toml", head + exe + "egres = 1\nworkdir = 3\nuser = 1\n"))
    check("all findings are printed", got[2].count("error[") >= 2, got)
    check("a rejected manifest touches nothing", not a.branes() and not a.left("bad") and a.pins() == pins
          and a.maps() == empty, a.branes(), a.left("bad"), a.maps())
    good = manifest("good", "exec sleep 1000")
    try:
        a.apply(good + head + '[brane.bad.filesystem]\nread = ["/no/such/file"]\n' + "")
    except Refused as e:
        check("one bad brane of two: the file is refused", e.info["exit"] == 3, e.info)
    check("and the good one is not left half", not a.left("bad"), a.left("bad"))
    a.ctl("delete", "good")


def asks(a):
    a.apply(manifest("asked", "exec sleep 1000"))
    for ask, want in (("file.read /etc/debian_version", 0), ("file.read /etc/shadow", 1),
                      ("net.connect 127.0.0.1:9", 0), ("net.connect 127.0.0.1:10", 1)):
        got = a.ctl("can", "asked", *ask.split())
        check("can %s: exit %d" % (ask, want), got[0] == want, got)
    a.ctl("delete", "asked")


def main():
    a = Agent().start()
    try:
        empty = a.maps()
        check("pinned maps can be counted", len(empty) >= 2, empty, a.pins())
        applies(a)
        check("what was applied and deleted left no entry", until(lambda: a.maps() == empty, 10), a.maps(), empty)
        swaps(a)
        deletes(a, empty)
        runs(a)
        restarts(a)
        rejects(a, empty)
        asks(a)
        check("verify-chain: intact", a.verify()[0] == 0, a.verify())
        check("an orderly end", a.stop(signal.SIGTERM) == 0, a.log())
        check("its own log shows no failure", " fail " not in a.log(), a.log())
    finally:
        a.close()
    done()


if __name__ == "__main__":
    main()
