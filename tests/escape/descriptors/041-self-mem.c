/*
 * Row 41: /proc/self/mem writes into read-only pages: code is patched without mprotect, so that a rule
 * "writable or executable" that looks at mappings never hears of it.
 */
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "tests/escape/lib/escape.h"

__attribute__((noinline, noipa)) static int patched(void)
{
	return 1;
}

/* mov eax, 0; ret */
static const unsigned char code[] = {0xb8, 0, 0, 0, 0, 0xc3};

static int by_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return errno;
	if (pwrite(fd, code, sizeof(code), (off_t)(uintptr_t)patched) != sizeof(code))
		return errno == EIO
			       ? esc_skip("this kernel lets a tracer only write to code by mem")
			       : errno;
	return patched() ? EIO : 0;
}

static int self_mem(void)
{
	return by_file("/proc/self/mem");
}

static int thread_mem(void)
{
	return by_file("/proc/thread-self/mem");
}

static int task_mem(void)
{
	return by_file("/proc/self/task/../mem");
}

static int traced_child(void)
{
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
	_exit(patched());
}

/* A child is one's own: its debugger may write into its code, too. */
static int poke_child(void)
{
	int status = 0;
	long word;
	pid_t pid;

	if (!strcmp(esc_arg("mode"), "outside")) {
		pid = fork();
		if (!pid)
			traced_child();
		waitpid(pid, &status, 0);
	} else {
		pid = fork();
		if (!pid) {
			for (;;)
				pause();
		}
		status = esc_errno(ptrace(PTRACE_ATTACH, pid, 0, 0));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return status;
	}
	memcpy(&word, (const void *)patched, sizeof(word));
	memcpy(&word, code, sizeof(code));
	if (ptrace(PTRACE_POKETEXT, pid, (void *)patched, (void *)word) < 0)
		return errno;
	ptrace(PTRACE_DETACH, pid, 0, 0);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : EIO;
}

static const struct esc_try tries[] = {
	{"self", self_mem, "file.absent|file.write", 1, ESC_OUTSIDE, NULL},
	{"thread-self", thread_mem, "file.absent|file.write", 1, ESC_OUTSIDE, NULL},
	{"task", task_mem, "file.absent|file.write", 1, ESC_OUTSIDE, NULL},
	{"poke-child", poke_child, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(41, "code patched through /proc/self/mem", "the view, file_open, filter", tries);
