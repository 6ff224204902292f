/*
 * The shim's side of the plan: maps what the load role prepared and checks it once.
 *
 * Comes in: OM_FD_PLAN and OM_FD_BUNDLE. Goes out: struct om_birth. Called by: the shim, before its
 * first fork. Never does: open a path: everything a brane needs from the host arrives as a descriptor.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <loader/process/process.h>

static const void *map_fd(int fd, size_t *len)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || st.st_size <= 0 || (size_t)st.st_size > OM_BUNDLE_MAX * 2)
		return NULL;
	*len = (size_t)st.st_size;
	void *p = mmap(NULL, *len, PROT_READ, MAP_PRIVATE, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

static char **strings(const struct om_bundle *b, enum om_section sec)
{
	uint32_t n = 0;
	const uint32_t *off = om_bundle_section(b, sec, &n);
	char **v = calloc((size_t)n + 1, sizeof(*v));
	for (uint32_t i = 0; v && i < n; i++)
		v[i] = (char *)(uintptr_t)om_bundle_str(b, off[i]);
	return v;
}

int om_birth_open(struct om_birth *b)
{
	size_t plan_len = 0, bundle_len = 0;
	const struct om_plan *p = map_fd(OM_FD_PLAN, &plan_len);
	const void *bundle = map_fd(OM_FD_BUNDLE, &bundle_len);
	struct om_err err;

	if (!p || !bundle || plan_len < sizeof(*p) || p->size != plan_len ||
	    memcmp(p->magic, OM_PLAN_MAGIC, 8) != 0)
		return -EBADMSG;
	if (p->mounts > (plan_len - sizeof(*p)) / sizeof(p->target_off[0]) ||
	    ((const char *)p)[plan_len - 1] != '\0')
		return -EBADMSG;
	for (uint32_t i = 0; i < p->mounts; i++)
		if (p->target_off[i] >= plan_len)
			return -EBADMSG;
	if (!memchr(p->name, 0, sizeof(p->name)) || !memchr(p->run_dir, 0, sizeof(p->run_dir)) ||
	    !memchr(p->instance, 0, sizeof(p->instance)))
		return -EBADMSG;
	int ret = om_bundle_open(bundle, bundle_len, &b->bundle, &err);
	if (ret < 0)
		return ret;
	b->plan = p;
	b->argv = strings(&b->bundle, OM_SEC_ARGV);
	b->envp = strings(&b->bundle, OM_SEC_ENV);
	if (!b->argv || !b->envp)
		return -ENOMEM;
	return b->argv[0] ? 0 : -EINVAL;
}
