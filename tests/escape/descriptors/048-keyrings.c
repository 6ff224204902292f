/*
 * Row 48: the kernel's keyrings belong to users and sessions, not to namespaces: one uid, one set of keys,
 * in every container. request_key may even start a program of the host, outside the brane.
 */
#include <linux/keyctl.h>

#include "tests/escape/lib/escape.h"

static int add_to(int ring)
{
	return esc_errno(syscall(SYS_add_key, "user", "omega-esc", "x", 1, ring));
}

static int add_process(void)
{
	return add_to(KEY_SPEC_PROCESS_KEYRING);
}

/* The user's ring is that of every process of the uid, the host's too. */
static int add_user(void)
{
	return add_to(KEY_SPEC_USER_KEYRING);
}

static int request(void)
{
	int ret = esc_errno(syscall(SYS_request_key, "user", "omega-esc-none", NULL, 0));

	return ret == ENOKEY ? 0 : ret; /* looked for: the answer itself was no secret */
}

static int search(void)
{
	int ret = esc_errno(syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_SESSION_KEYRING,
				    "user", "omega-esc-none", 0));

	return ret == ENOKEY ? 0 : ret;
}

static int join(void)
{
	return esc_errno(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "omega-esc"));
}

static int read_ring(void)
{
	char buf[64];

	return esc_errno(
		syscall(SYS_keyctl, KEYCTL_READ, KEY_SPEC_USER_SESSION_KEYRING, buf, sizeof(buf)));
}

static const struct esc_try tries[] = {
	{"add-process", add_process, "syscall", 1, ESC_OUTSIDE, NULL},
	{"add-user", add_user, "syscall", 1, ESC_OUTSIDE, NULL},
	{"request-key", request, "syscall", 1, ESC_OUTSIDE, NULL},
	{"search", search, "syscall", 1, ESC_OUTSIDE, NULL},
	{"join-session", join, "syscall", 1, ESC_OUTSIDE, NULL},
	{"read", read_ring, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(48, "keyrings", "filter, key_alloc, key_permission", tries);
