/*
 * Reading manifests from files, stdin and folders, and compiling them.
 *
 * Comes in: paths. Goes out: struct om_sources. Called by: every verb that takes a manifest. Never does:
 * resolve or check what a manifest names: that needs the host, and is the loader's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/ctl/lib/source.h"

#define FOLDER_MAX 1024u /* manifests in one folder */
/* More than the parser takes, so that its finding can say how large the file is. */
#define READ_MAX (4u * OM_MANIFEST_BYTES_MAX)

void om_sources_done(struct om_sources *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		free(s->items[i].name);
		free(s->items[i].data);
		om_diags_done(&s->items[i].diags);
		om_policy_free(s->items[i].policy);
	}
	free(s->items);
	*s = (struct om_sources){0};
}

static int read_fd(int fd, const char *name, struct om_source *out, struct om_err *err)
{
	size_t cap = READ_MAX;
	char *fit;

	out->data = malloc(cap);
	out->name = strdup(name);
	if (!out->data || !out->name)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for %s", name);
	while (out->len < cap) {
		ssize_t n = read(fd, out->data + out->len, cap - out->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return om_err_sys(err, OM_ERR_IO, -errno, "%s", name);
		if (!n)
			break;
		out->len += (size_t)n;
	}
	fit = realloc(out->data, OM_MAX(out->len, (size_t)1));
	out->data = fit ? fit : out->data;
	return 0;
}

static int add(struct om_sources *s, int fd, const char *name, struct om_err *err)
{
	struct om_source *grown = reallocarray(s->items, s->count + 1, sizeof(*grown));

	if (!grown)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for %s", name);
	s->items = grown;
	memset(&grown[s->count], 0, sizeof(*grown));
	om_diags_init(&grown[s->count].diags);
	return read_fd(fd, name, &grown[s->count++], err);
}

static int toml_only(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 5 && d->d_name[0] != '.' && strcmp(d->d_name + n - 5, ".toml") == 0;
}

static void free_names(struct dirent ***names)
{
	for (int i = 0; *names && (*names)[i]; i++)
		free((*names)[i]);
	free(*names);
}

static int read_folder(struct om_sources *s, const char *path, struct om_err *err)
{
	OM_CLEANUP(free_names) struct dirent **names = NULL;
	struct dirent **grown;
	int n = scandir(path, &names, toml_only, alphasort), ret = 0;

	if (n < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "%s", path);
	/* The list has no end mark of its own, which free_names needs. */
	grown = reallocarray(names, (size_t)n + 1, sizeof(*grown));
	if (!grown) {
		while (n--)
			free(names[n]);
		free(names);
		names = NULL;
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for %s", path);
	}
	names = grown;
	names[n] = NULL;
	if (!n)
		return om_err_set(err, OM_ERR_USAGE, -ENOENT, "%s holds no *.toml file", path);
	if ((unsigned int)n > FOLDER_MAX)
		return om_err_set(err, OM_ERR_LIMIT, -E2BIG, "%s holds more than %u manifests",
				  path, FOLDER_MAX);
	for (int i = 0; i < n && !ret; i++) {
		OM_CLEANUP(om_free_ptr) char *name = NULL;

		if (asprintf(&name, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/",
			     names[i]->d_name) < 0) {
			name = NULL;
			return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for %s", path);
		}
		OM_CLEANUP(om_close_fd) int fd = open(name, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			return om_err_sys(err, OM_ERR_IO, -errno, "%s", name);
		ret = add(s, fd, name, err);
	}
	return ret;
}

int om_sources_read(struct om_sources *s, const char *path, struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int fd = -1;
	struct stat st;

	if (strcmp(path, "-") == 0)
		return add(s, STDIN_FILENO, "<stdin>", err);
	if (!*path)
		return om_err_set(err, OM_ERR_USAGE, -EINVAL, "the file name is empty");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "%s", path);
	if (S_ISDIR(st.st_mode))
		return read_folder(s, path, err);
	return add(s, fd, path, err);
}

/* Two files that define one brane: whichever was applied last would win, silently. */
static void find_twins(struct om_sources *s, uint32_t last)
{
	struct om_source *b = &s->items[last];

	for (uint32_t i = 0; b->policy && i < om_policy_count(b->policy); i++) {
		const struct om_ir *ir = om_policy_ir(b->policy, i);

		for (uint32_t j = 0; j < last; j++) {
			const struct om_source *a = &s->items[j];

			if (!a->policy || !om_policy_find(a->policy, ir->name))
				continue;
			om_diag_add(&b->diags, OM_SEV_ERROR, OM_ERR_BIND_DUPLICATE_BRANE, ir->pos,
				    "give one of them another name",
				    "brane '%s' is defined in %s already", ir->name, a->name);
		}
	}
	om_diags_sort(&b->diags);
}

int om_sources_compile(struct om_sources *s, struct om_err *err)
{
	struct om_err one;
	int bad = 0;

	for (uint32_t i = 0; i < s->count; i++) {
		struct om_source *src = &s->items[i];
		int ret = om_policy_compile(src->data, src->len, &src->policy, &src->diags, &one);

		if (ret < 0 && !src->diags.errors) {
			if (err)
				*err = one;
			return ret == -EINVAL ? -EIO : ret;
		}
		if (!ret)
			find_twins(s, i);
		if (ret < 0 || src->diags.errors) {
			if (!bad && ret < 0 && err)
				*err = one;
			else if (!bad)
				om_err_set(err, OM_ERR_BIND_DUPLICATE_BRANE, -EINVAL, "%s",
					   src->diags.items[0].message);
			bad = -EINVAL;
		}
	}
	return bad;
}
