/*
 * The private root's skeleton: only what leads to a granted path, by the names the image uses.
 *
 * Comes in: an image's root, a path. Goes out: directories, links and mount points in a tmpfs. Called
 * by: om_view_prepare. Never does: follow a link by the kernel: every component is opened by itself
 * and links are expanded here, inside the image's root.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <loader/process/view.h>

#define LINKS_MAX 40 /* as the kernel's own MAXSYMLINKS */

struct walk {
	mode_t mode; /* of the directories made */
	int skel, image;
	int at;			 /* where we are in the image; -1: below what the image has */
	char canon[OM_PATH_MAX]; /* "etc/api", no leading slash */
	char rest[OM_PATH_MAX];
	int links;
};

static int image_open(int image, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	return (int)syscall(SYS_openat2, image, *path ? path : ".", &how, sizeof(how));
}

static int reopen(struct walk *w)
{
	om_close_fd(&w->at);
	w->at = image_open(w->image, w->canon);
	return w->at < 0 ? -errno : 0;
}

static int push(char canon[static OM_PATH_MAX], const char *name)
{
	size_t len = strlen(canon);
	int n = snprintf(canon + len, OM_PATH_MAX - len, "%s%s", len ? "/" : "", name);
	return n < 0 || (size_t)n >= OM_PATH_MAX - len ? -ENAMETOOLONG : 0;
}

static void pop(char *canon)
{
	char *slash = strrchr(canon, '/');
	*(slash ? slash : canon) = '\0';
}

/* Cuts the first component off w->rest; "" at the end. LAST: nothing follows. */
static int next(struct walk *w, char name[static OM_COMPONENT_MAX + 1], bool *last)
{
	char *p = w->rest + strspn(w->rest, "/");
	size_t n = strcspn(p, "/");
	if (n > OM_COMPONENT_MAX)
		return -ENAMETOOLONG;
	memcpy(name, p, n);
	name[n] = '\0';
	p += n;
	p += strspn(p, "/");
	*last = *p == '\0';
	memmove(w->rest, p, strlen(p) + 1);
	return 0;
}

static int expand(struct walk *w, const char *name)
{
	char target[OM_PATH_MAX], rest[OM_PATH_MAX], link[OM_PATH_MAX];
	ssize_t n = readlinkat(w->at, name, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (++w->links > LINKS_MAX)
		return -ELOOP;
	memcpy(link, w->canon, sizeof(link));
	int ret = push(w->canon, name);
	if (ret < 0)
		return ret;
	/* An existing mount point of that name is at least as good as the link. */
	if (symlinkat(target, w->skel, w->canon) < 0 && errno != EEXIST)
		return -errno;
	memcpy(w->canon, link, sizeof(link));
	memcpy(rest, w->rest, sizeof(rest));
	if (snprintf(w->rest, sizeof(w->rest), "%s/%s", target, rest) >= (int)sizeof(w->rest))
		return -ENAMETOOLONG;
	if (target[0] != '/')
		return 0;
	w->canon[0] = '\0';
	return reopen(w);
}

static int enter(struct walk *w, const char *name)
{
	struct stat st;
	bool there = w->at >= 0 && fstatat(w->at, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (there && S_ISLNK(st.st_mode))
		return expand(w, name);
	if (there && !S_ISDIR(st.st_mode))
		return -ENOTDIR;
	int ret = push(w->canon, name);
	if (ret < 0)
		return ret;
	if (mkdirat(w->skel, w->canon, w->mode) < 0 && errno != EEXIST)
		return -errno;
	/* A mount on a path that the image lacks: the names are the manifest's own. */
	int fd = there ? openat(w->at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	om_close_fd(&w->at);
	w->at = fd;
	return there && fd < 0 ? -errno : 0;
}

static int place(const struct om_skeleton *s, char canon[static OM_PATH_MAX], const char *name,
		 bool dir)
{
	struct stat st;
	int ret = push(canon, name);
	if (ret < 0)
		return ret;
	/* A link made on the way to another grant: the mount of the object itself takes its place. */
	if (fstatat(s->skel, canon, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode) &&
	    unlinkat(s->skel, canon, 0) < 0)
		return -errno;
	if (dir)
		ret = mkdirat(s->skel, canon, s->mode);
	else
		ret = mknodat(s->skel, canon, S_IFREG | 0444, 0);
	return ret < 0 && errno != EEXIST ? -errno : 0;
}

/* Bytes of PATH before its last component; 0: it has no plain last component, or no directory. */
static size_t parent_len(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash || slash[1] == '\0' || strcmp(slash, "/.") == 0 || strcmp(slash, "/..") == 0 ||
	    strlen(slash + 1) > OM_COMPONENT_MAX)
		return 0;
	return (size_t)(slash - path);
}

static int walk(struct om_skeleton *s, const char *path, bool dir, char canon[static OM_PATH_MAX])
{
	struct walk w = {.skel = s->skel, .image = s->image, .at = -1, .mode = s->mode};
	char name[OM_COMPONENT_MAX + 1];
	bool last = false;

	memcpy(w.rest, path, strlen(path) + 1);
	int ret = reopen(&w);
	while (ret == 0) {
		ret = next(&w, name, &last);
		if (ret < 0 || name[0] == '\0')
			break;
		if (strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {
			pop(w.canon);
			ret = reopen(&w);
			continue;
		}
		ret = last ? place(s, w.canon, name, dir) : enter(&w, name);
		if (last)
			break;
	}
	om_close_fd(&w.at);
	memcpy(canon, w.canon, sizeof(w.canon));
	return ret;
}

int om_skeleton_add(struct om_skeleton *s, const char *path, bool dir, char *canon)
{
	char at[OM_PATH_MAX];
	size_t n = parent_len(path);
	int ret;

	if (strlen(path) >= OM_PATH_MAX)
		return -ENAMETOOLONG;
	/* Grants come in order: most lie where the one before does, and that way is made already. */
	if (n > 0 && strlen(s->dir) == n && memcmp(s->dir, path, n) == 0) {
		memcpy(at, s->canon, sizeof(at));
		ret = place(s, at, path + n + 1, dir);
	} else {
		ret = walk(s, path, dir, at);
		memcpy(s->dir, path, n);
		s->dir[ret == 0 ? n : 0] = '\0';
		memcpy(s->canon, at, sizeof(at));
		pop(s->canon);
	}
	if (ret == 0 && snprintf(canon, OM_PATH_MAX, "/%s", at) >= (int)OM_PATH_MAX)
		ret = -ENAMETOOLONG; /* a cut path would name another place */
	return ret;
}

int om_skeleton_usr(int skel, int image)
{
	static const char *const names[] = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"};
	char target[OM_PATH_MAX];
	for (size_t i = 0; i < OM_ARRAY_LEN(names); i++) {
		ssize_t n = readlinkat(image, names[i], target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		if (symlinkat(target, skel, names[i]) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}
