/*
 * Row 17: a path of more components, or more bytes, than an engine walks: it sees the path's end without
 * its head, or an error, and what does not match is let through. The programs run here lie below the
 * writable grant, which gives no right to execute.
 */
#include "tests/escape/lib/files.h"

#define DEEP	70  /* components: more than the peers' 20 to 60 */
#define BEYOND	300 /* more than the kernel programs of Omega walk */
#define LONG	24
#define NAME	200 /* bytes: LONG of them are more than a path may have */
#define UPWARDS 400

/* Makes and enters DEPTH directories of NAME one in the other; how many there are then. */
static int descend(const char *first, const char *name, int depth)
{
	const char *path = esc_in("write", first);
	int i = 0;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -1;
	if (chdir(path) < 0)
		return -1;
	for (; i < depth; i++) {
		if (mkdir(name, 0700) < 0 && errno != EEXIST)
			break;
		if (chdir(name) < 0)
			break;
	}
	return i;
}

static int run_here(void)
{
	int ret;

	unlink("prog");
	ret = esc_copy_to("prog");
	return ret ? ret : esc_run("./prog");
}

static int many_components(void)
{
	return descend("017-deep", "d", DEEP) < DEEP ? ENOSPC : run_here();
}

static int many_bytes(void)
{
	char name[NAME + 1];

	memset(name, 'n', NAME);
	name[NAME] = 0;
	return descend("017-long", name, LONG) < LONG ? ENOSPC : run_here();
}

/* What cannot be walked to its end is not granted. */
static int beyond_the_walk(void)
{
	errno = 0;
	return descend("017-beyond", "d", BEYOND) < BEYOND ? errno : 0;
}

static int many_dots(void)
{
	char path[4096];

	strcpy(path, esc_arg("dir"));
	for (int i = 0; i < UPWARDS; i++)
		strcat(path, "/sub/..");
	strcat(path, "/secret");
	return esc_open_read(AT_FDCWD, path, O_RDONLY);
}

/* The path that the task gives is cut in the record; the answer is the same. */
static int many_slashes(void)
{
	char path[4000], *p = path;

	for (int i = 0; i < 3000; i++)
		*p++ = '/';
	strcpy(p, esc_secret() + 1);
	return esc_open_read(AT_FDCWD, path, O_RDONLY);
}

static const struct esc_try tries[] = {
	{"many-components", many_components, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"many-bytes", many_bytes, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"beyond-the-walk", beyond_the_walk, "file.create", 1, ESC_OUTSIDE, NULL},
	{"many-dots", many_dots, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"many-slashes", many_slashes, "file.absent|file.read", 1, ESC_INSIDE, NULL},
};

ESC_ROW(17, "paths deeper or longer than an engine walks", "file_open by object, the view", tries);
