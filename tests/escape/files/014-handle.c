/*
 * Row 14: a file by its handle, without any path: through any mount of its file system, also of files
 * that have no name there. Handles are short and can be guessed.
 */
#include "tests/escape/lib/files.h"

struct handle {
	struct file_handle h;
	unsigned char data[128];
};

static int by_handle(void)
{
	struct handle f = {.h.handle_bytes = sizeof(f.data)};
	int id, at;

	if (name_to_handle_at(AT_FDCWD, esc_secret(), &f.h, &id, 0) < 0)
		return errno;
	at = open(esc_arg("dir"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return errno;
	return esc_read_fd(open_by_handle_at(at, &f.h, O_RDONLY | O_CLOEXEC));
}

/* The handle was had elsewhere, or guessed: only the second call is made. */
static int guessed(void)
{
	struct handle f = {.h = {.handle_bytes = 12, .handle_type = 1}};
	int id, at = open(esc_arg("write"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (at < 0)
		return errno;
	if (esc_outside()) {
		f.h.handle_bytes = sizeof(f.data);
		if (name_to_handle_at(AT_FDCWD, esc_secret(), &f.h, &id, 0) < 0)
			return errno;
	}
	return esc_read_fd(open_by_handle_at(at, &f.h, O_RDONLY | O_CLOEXEC));
}

static const struct esc_try tries[] = {
	{"name-to-handle", by_handle, "syscall", 1, ESC_OUTSIDE, NULL},
	{"guessed", guessed, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(14, "name_to_handle_at, open_by_handle_at", "seccomp; file_open", tries);
