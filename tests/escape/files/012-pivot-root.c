/* Row 12: pivot_root exchanges the root of the whole mount namespace. */
#include <sys/mount.h>

#include "tests/escape/lib/files.h"

static int pivot(void)
{
	const char *new = esc_in("write", "012-root");
	char old[1024], path[2048];

	if (mkdir(new, 0700) < 0 && errno != EEXIST)
		return errno;
	snprintf(old, sizeof(old), "%s/old", new);
	/* The set-up, which is a mount, is shown to be denied by row 8. */
	if (esc_outside() && mount("tmpfs", new, "tmpfs", 0, NULL) < 0)
		return errno;
	if (mkdir(old, 0700) < 0 && errno != EEXIST)
		return errno;
	if (syscall(SYS_pivot_root, new, old) < 0)
		return errno;
	snprintf(path, sizeof(path), "/old%s", esc_secret());
	return esc_open_read(AT_FDCWD, path, O_RDONLY);
}

/* Both names the same: the old root is stacked on the new one, as container runtimes do. */
static int stacked(void)
{
	const char *new = esc_in("write", "012-stacked");

	if (mkdir(new, 0700) < 0 && errno != EEXIST)
		return errno;
	if (esc_outside() && mount("tmpfs", new, "tmpfs", 0, NULL) < 0)
		return errno;
	if (chdir(new) < 0)
		return errno;
	return esc_errno(syscall(SYS_pivot_root, ".", "."));
}

static const struct esc_try tries[] = {
	{"pivot", pivot, "syscall|mount", 1, ESC_OUTSIDE, NULL},
	{"stacked", stacked, "syscall|mount", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(12, "pivot_root", "seccomp; sb_pivotroot", tries);
