#!/usr/bin/python3
"""A kernel that lacks a hook: without a required one no brane starts under BPF-LSM, and the hook is named.

In:   OMEGA_BUILD. Out: TAP. Called by: make check, in the VM. The loader learns which hooks there are from the
kernel's BTF; a copy in which the hook's function bears another name is mounted over it, so nothing of
omegad is replaced. An optional hook that is missing costs nothing.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "util"))
from omegad import BUILD, Agent, check, done, manifest, skip_all, until  # noqa: E402

BTF = "/sys/kernel/btf/vmlinux"
REQUIRED = ("path_rename", "socket_connect", "bprm_check_security")
OPTIONAL = "file_ioctl_compat"


class Without:
    """The kernel's type information says that there is no such hook."""

    def __init__(self, hook):
        self.hook, self.copy = hook, "/tmp/btf-without-" + hook

    def __enter__(self):
        with open(BTF, "rb") as f:
            data = f.read()
        name = b"\0bpf_lsm_" + self.hook.encode() + b"\0"
        self.there = name in data
        with open(self.copy, "wb") as f:
            f.write(data.replace(name, name[:-2] + b"?\0"))
        subprocess.run(["mount", "--bind", self.copy, BTF], check=True)
        return self

    def __exit__(self, *exc):
        subprocess.run(["umount", BTF], check=True)
        os.unlink(self.copy)


def required(hook):
    with Without(hook) as w:
        check("%s: this kernel has it" % hook, w.there)
        probe = subprocess.run([BUILD + "/omegad", "--probe"], capture_output=True, text=True, check=False)
        check("%s: --probe says so by 9" % hook, probe.returncode == 9 and hook in probe.stdout + probe.stderr, probe)
        a = Agent().start()
        try:
            file = a.dir + "/m.toml"
            with open(file, "w") as f:
                f.write(manifest("all", "exec sleep 1000"))
            code, out, err = a.ctl("apply", file)
            check("%s: no brane starts, exit 9" % hook, code == 9 and not a.branes(), code, out, err)
            check("%s: it is named" % hook, hook in err, err)
            check("%s: nothing is left" % hook, not a.left("all"), a.left("all"))
            code, out, err = a.ctl("doctor")
            check("%s: doctor names it" % hook, hook in out + err, out, err)
            a.apply(manifest("some", "echo here; exec sleep 1000", layers=["process", "network"]))
            check("%s: without the layer it runs" % hook, until(lambda: "here" in a.output("some")), a.output("some"))
        finally:
            a.close()


def main():
    if not os.environ.get("OMEGA_VM"):
        skip_all("mounts over the kernel's BTF: in the VM only")
    for hook in REQUIRED:
        required(hook)
    with Without(OPTIONAL):
        probe = subprocess.run([BUILD + "/omegad", "--probe"], capture_output=True, text=True, check=False)
        check("%s: optional, the layer is complete" % OPTIONAL, probe.returncode == 0, probe)
    done()


if __name__ == "__main__":
    main()
