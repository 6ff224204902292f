/*
 * Row 2: a link at a granted place to what is not granted. Rules on the text of a path see the link's
 * name; so do those that resolve it themselves and are raced.
 */
#include "tests/escape/lib/files.h"

static int link_to(const char *target, const char *name)
{
	const char *path = esc_own(name);

	return symlink(target, path) < 0 ? errno : esc_open_read(AT_FDCWD, path, O_RDONLY);
}

static int absolute(void)
{
	return link_to(esc_secret(), "002-absolute");
}

static int relative(void)
{
	char up[1024] = "";

	for (const char *p = esc_arg("write"); *p; p++)
		if (*p == '/')
			strcat(up, "../");
	strcat(up, esc_secret() + 1);
	return link_to(up, "002-relative");
}

static int chain(void)
{
	const char *last = esc_own("002-chain0");

	if (symlink(esc_secret(), last) < 0)
		return errno;
	for (int i = 1; i < 8; i++) {
		char name[32];

		snprintf(name, sizeof(name), "002-chain%d", i);
		const char *next = esc_own(name);
		if (symlink(last, next) < 0)
			return errno;
		last = next;
	}
	return esc_open_read(AT_FDCWD, last, O_RDONLY);
}

static int directory(void)
{
	char path[1024];
	const char *link = esc_own("002-directory");

	if (symlink(esc_arg("dir"), link) < 0)
		return errno;
	snprintf(path, sizeof(path), "%s/secret", link);
	return esc_open_read(AT_FDCWD, path, O_RDONLY);
}

/* O_CREAT follows a link that dangles, and makes what it points to. */
static int created_through(void)
{
	const char *link = esc_own("002-created");
	int fd;

	if (symlink(esc_secret(), link) < 0)
		return errno;
	fd = open(link, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	return esc_errno(fd);
}

static const struct esc_try tries[] = {
	{"absolute", absolute, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"relative", relative, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"chain", chain, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"directory", directory, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"created-through", created_through, "file.absent|file.create|file.write", 1, ESC_INSIDE,
	 NULL},
};

ESC_ROW(2, "symbolic link to the target", "the view; file_open sees the object", tries);
