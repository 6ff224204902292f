#!/usr/bin/python3
"""Self-guard: no manifest grants what belongs to omegad, and nothing inside a brane reaches it.

In:   OMEGA_BUILD. Out: TAP. Called by: make check, in the VM. The widest manifests that there are: those that
reach the agent's directories are refused by name; under the widest that is left a program without a view, as
root, tries every way to the agent. The same program outside every brane shows that the ways exist.
"""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "util"))
from omegad import BUILD, Agent, Refused, check, done, skip_all, until  # noqa: E402

# One line for each way: "NAME reached" or "NAME errno". perl-base is on every Debian.
TRY = r"""
my ($out, $run, $state, $pins, $cgroup, $libexec, $harm, @pids) = @ARGV;
open(STDOUT, ">", $out) or die "cannot write $out: $!";
$| = 1;
sub say1 { my ($name, $ok) = @_; printf "%%s %%s\n", $name, $ok ? "reached" : $! + 0; }
sub reads { my $f; open($f, "<", $_[0]) && defined(sysread($f, my $x, 1)); }
sub dial { my $s; socket($s, 1, $_[1], 0) && connect($s, pack("S a108", 1, $_[0])); }
sub sys { my @a = @_; syscall($a[0], @a[1 .. $#a]); }
sub lists { my $d; opendir($d, $_[0]); }
for my $n (qw(control.sock admin.sock observe.sock)) { say1("connect $n", dial("$run/$n", 1)); }
say1("connect shim.sock", dial("$run/shim.sock", 5));
say1("list run", lists($run));
say1("list branes", lists("$run/branes"));
say1("list state", lists($state));
say1("list audit", lists("$state/audit"));
say1("list pins", lists("$pins"));
say1("read key", reads("$state/substrate.key"));
say1("read one-time key", reads("$run/signer/next.key"));
say1("read log", reads(glob0("$state/audit/stream")));
say1("read state", reads("$run/branes/guarded/state"));
sub glob0 { "$_[0]/000000000000.log" }
my $i = 0;
for my $p (@pids) {
  $p += 0;
  say1("signal 0 to $i", kill(0, $p));
  say1("environ of $i", reads("/proc/$p/environ"));
  say1("mem of $i", reads("/proc/$p/mem") || $! == 5);
  say1("fd of $i", lists("/proc/$p/fd"));
  say1("ptrace $i", sys(101, 16, $p, 0, 0) == 0 && (sys(101, 17, $p, 0, 0), 1)) if $harm;
  say1("kill $i", kill(9, $p)) if $harm;
  say1("limits of $i", sys(302, $p, 1, pack("Q2", ~0, ~0), 0) == 0);
  $i++;
}
my $path = "$pins/om_branes\0";
my $attr = pack("Q L L x112", unpack("Q", pack("P", $path)), 0, 0);
say1("bpf get pin", sys(321, 7, $attr, 16) >= 0);
my $next = pack("L L L x112", 0, 0, 0);
say1("bpf next map", sys(321, 12, $next, 12) >= 0);
say1("bpf next link", sys(321, 31, $next, 12) >= 0);
exit 0 unless $harm;
say1("write key", open(my $k, "+<", "$state/substrate.key"));
say1("write log", open(my $l, ">>", glob0("$state/audit/stream")));
say1("truncate log", truncate(glob0("$state/audit/stream"), 0));
say1("unlink log", unlink(glob0("$state/audit/stream")));
say1("unlink key", unlink("$state/substrate.key"));
say1("rename state", rename($state, "$state.x"));
say1("link key", link("$state/substrate.key", "/tmp/k"));
say1("make in run", open(my $m, ">", "$run/x"));
say1("unlink socket", unlink("$run/control.sock"));
say1("unlink pin", unlink("$pins/om_task_kill"));
say1("rename pins", rename("$pins", "$pins-2"));
say1("rmdir pins", rmdir($pins));
say1("chmod state", chmod(0777, $state));
say1("chmod pin", chmod(0666, "$pins/om_branes"));
say1("write program", open(my $w, "+<", "$libexec/omegad-load"));
say1("unlink program", unlink("$libexec/omegad-load"));
say1("cgroup kill", open(my $c, ">", "$cgroup/cgroup.kill"));
say1("cgroup move", open(my $d, ">", "$cgroup/cgroup.procs"));
$i = 0;
for my $p (@pids) { say1("oom score of $i", open(my $o, ">", "/proc/$p/oom_score_adj")); $i++; }
say1("umount bpffs", sys(166, "/sys/fs/bpf\0", 2) == 0);
say1("umount run", sys(166, "/run\0", 2) == 0);
say1("mount over state", sys(165, "x\0", "$state\0", "tmpfs\0", 0, 0) == 0);
say1("umount state", sys(166, "$state\0", 2) == 0);
"""
links = []
ROLES = ("sign", "drain", "load", "compile", "api")


def pids(a):
    """omegad, its roles, the shim of the brane that stays."""
    with open(a.cgroup + ".shims/guarded/cgroup.procs") as f:
        return [a.proc.pid] + [a.role(r) for r in ROLES] + [int(p) for p in f]


def text(layers, name="bad", user=0, command=("/usr/bin/perl", "-e", "sleep 1000"), **grants):
    out = "[brane.%s]\nimage = \"host:\"\nuser = %d\nlayers = %s\ncommand = %s\n" % (
        name, user, layers, str(list(command)).replace("'", '"'))
    out += "[brane.%s.filesystem]\n" % name
    exe = ["/usr/bin/perl", "/usr/lib/x86_64-linux-gnu/", "/usr/lib64/ld-linux-x86-64.so.2"]
    return out + "".join("%s = %s\n" % (k, str(list(v)).replace("'", '"')) for k, v in
                         dict({"exec": exe}, **grants).items())


def link(a, target):
    """Another name for TARGET: the compiler refuses /sys, /proc and / by name, the loader what they are."""
    path = "%s-link%d" % (a.dir, len(links))
    os.symlink(target, path)
    links.append(path)
    return path


def refusals(a):
    alias = a.dir + "-alias"
    os.mkdir(alias)
    subprocess.run(["mount", "--bind", a.state + "/audit", alias], check=True)
    view, bare, light = '["process", "kernel", "network"]', '["kernel", "network"]', '["process", "network"]'
    rows = (
        ("the run directory", view, "read", a.run + "/", a.run),
        ("a control socket", view, "write", a.run + "/control.sock", a.run),
        ("the admin socket, without a view", bare, "write", a.run + "/admin.sock", a.run),
        ("the state directory", view, "write", a.state + "/", a.state),
        ("a key", view, "read", a.state + "/substrate.key", a.state),
        ("the log", bare, "read", a.state + "/audit/", a.state),
        ("the log under another name", view, "read", alias + "/", a.state),
        ("names in the run directory", view, "create", a.run + "/x*", a.run),
        ("the pins", bare, "read", link(a, a.bpffs) + "/", a.bpffs),
        ("one pin", bare, "write", link(a, a.pin_dir() + "/om_branes"), a.bpffs),
        ("the bpf file system, writable", bare, "write", link(a, "/sys/fs/bpf") + "/", a.bpffs),
        ("the programs, writable", view, "write", BUILD + "/", BUILD),
        ("one program, writable", view, "write", BUILD + "/omegad-load", BUILD),
        ("all above the state, writable", view, "write", a.dir + "/", a.dir),
        ("the whole tree, writable", bare, "write", link(a, "/") + "/", "may be changed and holds"),
        ("cgroups, writable", bare, "write", link(a, a.cgroup) + "/", "cgroup"),
        ("processes, writable", bare, "write", link(a, "/proc/sys/kernel") + "/", "/proc"),
        ("all above the state, without the kernel layer", light, "read", a.dir + "/", a.dir),
        ("a brane's stored bundle, without the kernel layer", light, "read", a.run + "/branes/", a.run),
    )
    pins = a.pins()
    for name, layers, key, path, named in rows:
        try:
            a.apply(text(layers, **{key: [path]}))
            got = "applied"
        except Refused as e:
            got = e.info
        check("refused: %s" % name, isinstance(got, dict) and got["exit"] == 3 and got["id"] == "OM2009"
              and named in got["text"], got)
    check("a refusal leaves nothing", not a.branes() and a.pins() == pins, a.branes())
    subprocess.run(["umount", alias], check=True)
    os.rmdir(alias)


def ways(path):
    if not os.path.exists(path):
        return {}
    with open(path) as f:
        return dict(line.rstrip().rsplit(" ", 1) for line in f)


def reach(a):
    """The widest manifest that is accepted, and what it reaches."""
    script = TRY.replace("%%", "%")
    a.apply(text('["kernel", "network"]', name="guarded", read=[link(a, "/") + "/"]))
    out = a.dir + "-out"
    os.mkdir(out)
    where = [a.run, a.state, a.pin_dir(), a.cgroup, BUILD]
    got = subprocess.run(["perl", "-e", script, out + "/free", *where, "0", *map(str, pids(a))], capture_output=True)
    free = ways(out + "/free")
    check("the program runs", not got.returncode, got.stderr.decode())
    closed = [w for w, got in free.items() if got != "reached"]
    check("outside every brane the ways are open", len(free) > 20 and not closed, free)
    before, pins = pids(a), a.pins()
    open(a.dir + "/try.pl", "w").write(script)
    for layers, name in (('["kernel", "network"]', "wide"), ('["process", "kernel", "network"]', "view")):
        read = [link(a, "/") + "/"] if name == "wide" else [a.dir + "/", "/var/", "/usr/", "/etc/"]
        a.apply(text(layers, name=name, read=read, write=[out + "/"],
                     command=["/usr/bin/perl", a.dir + "/try.pl", out + "/" + name, *where, "1", *map(str, before)]))
        until(lambda: a.branes()[name]["state"] == "exited", 60)
        got = ways(out + "/" + name)
        bad = {w: r for w, r in got.items() if r == "reached"}
        check("%s: every way was tried" % name, set(free) <= set(got) and len(got) > 50, got, a.output(name))
        check("%s: nothing of the agent's is reached" % name, not bad, bad)
        denials = a.events("--brane", name, "--denials")
        check("%s: and it is in the log" % name, len(denials) > 20, denials[-3:])
    shutil.rmtree(out)
    check("the agent is as it was", pids(a) == before and a.ready(), before)
    check("its pins too", a.pins() == pins)
    for name in ("wide", "view"):
        a.ctl("delete", name)
    check("and its log", a.verify()[0] in (0, 11), a.verify())


def main():
    a = Agent().start()
    try:
        if "kernel" not in a.call("Observe.Version").get("layers", []):
            skip_all("this kernel cannot enforce BPF-LSM")
        refusals(a)
        reach(a)
        check("an orderly end", a.stop() == 0, a.log())
    finally:
        a.close()
        for path in links:
            os.unlink(path)
    done()


if __name__ == "__main__":
    main()
