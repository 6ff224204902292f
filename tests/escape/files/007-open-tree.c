/*
 * Row 7: a copy of a mount that is attached nowhere. Paths in it begin at its own root, so the target's
 * is /secret; no mount hook sees it made.
 */
#include "tests/escape/lib/files.h"

#define TREE_CLONE     1
#define NR_OPEN_TREE   428
#define NR_TREE_ATTR   467
#define TREE_RECURSIVE 0x8000

static int in_tree(int fd, const char *name)
{
	return fd < 0 ? errno : esc_open_read(fd, name, O_RDONLY);
}

static int clone_directory(void)
{
	return in_tree((int)syscall(NR_OPEN_TREE, AT_FDCWD, esc_arg("dir"), TREE_CLONE | O_CLOEXEC),
		       "secret");
}

static int clone_root(void)
{
	return in_tree(
		(int)syscall(NR_OPEN_TREE, AT_FDCWD, "/", TREE_CLONE | TREE_RECURSIVE | O_CLOEXEC),
		esc_secret() + 1);
}

/* Without a copy it is an O_PATH open by another number. */
static int no_clone(void)
{
	return in_tree((int)syscall(NR_OPEN_TREE, AT_FDCWD, esc_arg("dir"), O_CLOEXEC), "secret");
}

/* 6.15: the same and attributes of the copy. */
static int tree_attr(void)
{
	uint64_t attr[4] = {0};
	int fd = (int)syscall(NR_TREE_ATTR, AT_FDCWD, esc_arg("dir"), TREE_CLONE | O_CLOEXEC, attr,
			      sizeof(attr));

	if (fd < 0 && errno == ENOSYS)
		return esc_skip("no open_tree_attr in this kernel");
	return in_tree(fd, "secret");
}

static const struct esc_try tries[] = {
	{"clone", clone_directory, "syscall", 1, ESC_OUTSIDE, NULL},
	{"clone-root", clone_root, "syscall", 1, ESC_OUTSIDE, NULL},
	{"no-clone", no_clone, "syscall", 1, ESC_OUTSIDE, NULL},
	{"open-tree-attr", tree_attr, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(7, "open_tree(OPEN_TREE_CLONE), then openat in the detached tree", "seccomp", tries);
