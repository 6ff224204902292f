#!/usr/bin/python3
"""The kernel's OOM killer takes omegad's processes: branes stay confined, and omegad comes back.

In:   OMEGA_BUILD. Out: TAP. Called by: make check, in the VM. omegad and its roles are put into a cgroup with
next to no memory while a brane tries what it may and may not, until the kernel has killed several of them;
new roles are born into it and die too. Then there is memory again. omegad itself is started anew by the test
if it was among the dead, as an init system would. Never asserts on time.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "util"))
from omegad import Agent, Refused, check, done, manifest, skip_all, until  # noqa: E402

ROLES = ("sign", "drain", "load", "compile", "api")
KILLS = 3
TRY = """
while :; do
  read -r x </etc/passwd && echo LEAK
  read -r x </etc/debian_version && echo good || echo bad
  sleep 0.3
done
"""


def put(path, text):
    with open(path, "w") as f:
        f.write(text)


def kills(cg):
    with open(cg + "/memory.events") as f:
        return dict(line.split() for line in f)["oom_kill"]


def starve(a, cg):
    """True once the kernel has killed KILLS processes, or omegad itself."""
    put(cg + "/memory.max", "0")

    def enough():
        try:
            a.call("Observe.List", timeout=2)
        except (OSError, ValueError, Refused):
            pass
        dead = a.proc.poll() is not None
        return int(kills(cg)) >= (1 if dead else KILLS)

    return until(enough)


def main():
    a = Agent().start()
    cg = os.path.dirname(a.cgroup) + "/omega-test-oom-%d" % os.getpid()
    try:
        os.mkdir(cg)
        if not os.path.exists(cg + "/memory.max"):
            skip_all("this host has no memory controller in cgroup v2")
        a.apply(manifest("held", TRY))
        until(lambda: "good" in a.output("held"))
        for pid in [a.proc.pid] + [a.role(r) for r in ROLES]:
            put(cg + "/cgroup.procs", str(pid))
        killed = starve(a, cg)
        check("the kernel's OOM killer took %s of omegad's processes" % kills(cg), killed, kills(cg), a.log())
        size = a.output("held").count("good")
        check("the brane runs on meanwhile", until(lambda: a.output("held").count("good") > size + 2))
        put(cg + "/memory.max", "max")
        alone = a.proc.poll() is None
        print("# omegad itself was %s" % ("spared" if alone else "killed"))
        if not alone:
            a.start(wait=False)
        check("omegad is back", until(a.ready), a.log())
        check("it says what happened", not alone or "role_died" in a.log() or "restart" in a.log(), a.log())
        held = a.branes().get("held", {})
        check("the brane was adopted", held.get("state") == "running", held)
        size = a.output("held").count("good")
        check("and works", until(lambda: a.output("held").count("good") > size))
        check("and never read what it was not granted", "LEAK" not in a.output("held")
              and "bad" not in a.output("held"), a.output("held")[-200:])
        check("a new brane starts", a.apply(manifest("new", TRY)))
        check("verify-chain: intact, an unclean restart at most", a.verify()[0] in (0, 11), a.verify())
        check("an orderly end", a.stop() == 0, a.log())
    finally:
        put(cg + "/memory.max", "max")
        a.close()
        until(lambda: not open(cg + "/cgroup.procs").read())
        os.rmdir(cg)
    done()


if __name__ == "__main__":
    main()
