/*
 * The builder: makes the brane's namespaces and view, then gives birth to init inside its cgroup.
 *
 * Comes in: struct om_birth, detached mounts by number. Goes out: init's pid on the report pipe.
 * Called by: the shim, in a forked child outside of the brane's cgroup, because policy denies every
 * step here (mount, pivot_root, namespaces) to a member. Never does: run as a member of the brane;
 * follow a symbolic link while mounting.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <loader/process/process.h>

static int mount_one(int target, int fd)
{
	if (syscall(SYS_move_mount, fd, "", target, "",
		    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

/*
 * Where a mount goes. No symbolic link is followed: a granted tree may hold one that a former brane
 * planted, and following it would put the mount elsewhere (CVE-2025-31133's family).
 */
static int open_target(const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};
	while (*path == '/')
		path++;
	int fd = (int)syscall(SYS_openat2, OM_FD_ROOT, *path ? path : ".", &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

static int build_view(const struct om_birth *b)
{
	const struct om_plan *p = b->plan;
	int ret;

	/* Nothing done below may show in the host's mount table, nor its later mounts in ours. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return om_report_fail(b->report, OM_STAGE_ROOT, errno, 0), -errno;
	OM_CLEANUP(om_close_fd) int at = open(p->run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ret = at < 0 ? -errno : mount_one(at, OM_FD_ROOT);
	if (ret < 0)
		return om_report_fail(b->report, OM_STAGE_ROOT, ret, 0), ret;
	for (uint32_t i = 0; i < p->mounts; i++) {
		OM_CLEANUP(om_close_fd)
		int target = open_target((const char *)p + p->target_off[i]);
		ret = target < 0 ? target : mount_one(target, OM_FD_MOUNTS + (int)i);
		if (ret < 0)
			return om_report_fail(b->report, OM_STAGE_MOUNT, ret, i), ret;
	}
	/* pivot_root on itself, then the old root, now on top, is let go: nothing of it stays reachable. */
	if (fchdir(OM_FD_ROOT) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return om_report_fail(b->report, OM_STAGE_PIVOT, errno, 0), -errno;
	return 0;
}

static int build(const struct om_birth *b)
{
	const struct om_bundle *bun = &b->bundle;

	if (b->plan->layers & OM_LAYER_PROCESS) {
		int flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
		if (bun->meta->netns)
			flags |= CLONE_NEWNET;
		if (unshare(flags) < 0)
			return om_report_fail(b->report, OM_STAGE_NAMESPACE, errno, 0), -errno;
		int ret = build_view(b);
		if (ret < 0)
			return ret;
		if (sethostname(b->plan->name, strlen(b->plan->name)) < 0)
			return om_report_fail(b->report, OM_STAGE_HOSTNAME, errno, 0), -errno;
	}
	/* As the working directory of init it is reached without a descriptor (CVE-2024-21626). */
	if (chdir(om_bundle_str(bun, bun->meta->workdir)) < 0)
		return om_report_fail(b->report, OM_STAGE_WORKDIR, errno, 0), -errno;
	/* An empty keyring of its own: the host's session keys are not inherited. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		return om_report_fail(b->report, OM_STAGE_KEYRING, errno, 0), -errno;
	return 0;
}

int om_builder_run(const struct om_birth *b)
{
	int ret = build(b);
	if (ret < 0)
		return ret;
	/*
	 * Born in the cgroup: no instant in which init exists outside of its policy. A child of the
	 * shim, not of the builder, which ends here.
	 */
	struct clone_args ca = {
		.flags = CLONE_INTO_CGROUP | CLONE_PARENT |
			 (b->plan->layers & OM_LAYER_PROCESS ? CLONE_NEWPID : 0),
		.cgroup = OM_FD_CGROUP,
	};
	long pid = syscall(SYS_clone3, &ca, sizeof(ca));
	if (pid == 0)
		om_init_run(b);
	if (pid < 0) {
		ret = -errno;
		om_report_fail(b->report, OM_STAGE_BIRTH, ret, 0);
		return ret;
	}
	struct om_report r = {.kind = OM_REPORT_BORN, .value = pid};
	if (write(b->report, &r, sizeof(r)) != (ssize_t)sizeof(r))
		return -EPIPE;
	return (int)pid;
}
