#!/usr/bin/python3
"""A kernel that cannot load BPF-LSM programs: refused with what to do, or run with the layers that there are.

In:   OMEGA_BUILD. Out: TAP. Called by: make check, on a host without BPF-LSM (elsewhere it skips). Never
changes how this kernel was started.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "util"))
from omegad import BUILD, Agent, check, done, manifest, skip_all, until  # noqa: E402


def main():
    if os.geteuid():
        skip_all("needs root")
    probe = subprocess.run([BUILD + "/omegad", "--probe"], capture_output=True, text=True, check=False)
    if probe.returncode == 0:
        skip_all("this kernel loads BPF-LSM programs")
    check("--probe says so by 9", probe.returncode == 9, probe)
    a = Agent().start()
    try:
        file = a.dir + "/m.toml"
        with open(file, "w") as f:
            f.write(manifest("all", "exec sleep 1000"))
        code, out, err = a.ctl("apply", file)
        check("a manifest that needs every layer: exit 9", code == 9, code, out, err)
        check("it names the layer", "kernel" in err, err)
        check("and what to do", "omegactl doctor" in err and "layers = [" in err, err)
        check("nothing is left of it", not a.branes() and not a.left("all"), a.branes(), a.left("all"))
        with open(file, "w") as f:
            f.write(manifest("some", "echo here; read -r x </etc/passwd && echo LEAK; exec sleep 1000",
                             layers=["process", "network"]))
        code, out, err = a.ctl("apply", file)
        check("with the layers that there are it runs", code == 0 and until(lambda: "here" in a.output("some")),
              out, err)
        check("under them", until(lambda: a.output("some")) == "here\n" and
              sorted(a.branes()["some"]["layers"]) == ["network", "process"], a.branes(), a.output("some"))
        told = until(lambda: [e for e in a.events("--brane", "some") if "policy.apply" in str(e)])
        check("and the log says which", bool(told) and "process" in str(told[0]) and "network" in str(told[0])
              and "kernel" not in str(told[0]), told, a.events()[-3:])
        code, out, err = a.ctl("doctor")
        check("doctor says why", "kernel" in out + err, out, err)
    finally:
        a.close()
    done()


if __name__ == "__main__":
    main()
