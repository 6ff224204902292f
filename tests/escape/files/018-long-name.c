/*
 * Row 18: a name longer than the key of an engine's map, which then compares the beginning only, or
 * nothing. The longest name that file systems take has 255 bytes.
 */
#include "tests/escape/lib/files.h"

#define LONGEST 255

static const char *long_name(char c)
{
	static char name[LONGEST + 1];

	memset(name, c, LONGEST);
	return esc_own(name);
}

static int run_long(void)
{
	const char *path = long_name('x');
	int ret = esc_copy_to(path);

	return ret ? ret : esc_run(path);
}

/* The same bytes as a granted program's name as far as a short key goes. */
static int run_prefix(void)
{
	const char *self = strrchr(esc_arg("self"), '/');
	char name[LONGEST + 1];
	const char *path;
	int ret;

	memset(name, 'x', LONGEST);
	name[LONGEST] = 0;
	memcpy(name, self ? self + 1 : "", strlen(self ? self + 1 : ""));
	path = esc_own(name);
	ret = esc_copy_to(path);
	return ret ? ret : esc_run(path);
}

static int link_long(void)
{
	const char *path = long_name('l');

	return symlink(esc_secret(), path) < 0 ? errno : esc_open_read(AT_FDCWD, path, O_RDONLY);
}

static const struct esc_try tries[] = {
	{"run-long", run_long, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"run-prefix", run_prefix, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"link-long", link_long, "file.absent|file.read", 1, ESC_INSIDE, NULL},
};

ESC_ROW(18, "a name longer than a map's key", "file_open by object", tries);
