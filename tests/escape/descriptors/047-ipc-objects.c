/*
 * Row 47: System V segments, queues and semaphores and POSIX queues have names of their own, outside every
 * path. Two programs that agree on a number share memory without a file.
 */
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include "tests/escape/lib/escape.h"

static bool outside(void)
{
	return !strcmp(esc_arg("mode"), "outside");
}

static int shm_read(void)
{
	int id = shmget(esc_num("shm"), 0, 0);
	char *p;

	if (id < 0)
		return errno;
	p = shmat(id, NULL, SHM_RDONLY);
	return p == (char *)-1 ? errno : 0;
}

/* By the number that the kernel gave it, which small loops find. */
static int shm_guessed(void)
{
	int last = outside() ? 32768 : 1;

	for (int id = 0; id < last; id++)
		if (shmat(id, NULL, SHM_RDONLY) != (void *)-1)
			return 0;
	return errno;
}

/* How many there are and how large: the namespace's, so that an empty one says nothing. */
static int shm_info(void)
{
	struct shm_info info;

	return esc_errno(shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info));
}

static int shm_made(void)
{
	int id = shmget(esc_num("shm") + 1, 4096, IPC_CREAT | 0600);

	return id < 0 ? errno : esc_errno(shmctl(id, IPC_RMID, NULL));
}

static int msg_made(void)
{
	int id = msgget(esc_num("shm"), IPC_CREAT | 0600);

	return id < 0 ? errno : esc_errno(msgctl(id, IPC_RMID, NULL));
}

static int sem_made(void)
{
	int id = semget(esc_num("shm"), 1, IPC_CREAT | 0600);

	return id < 0 ? errno : esc_errno(semctl(id, 0, IPC_RMID));
}

static int msg_sent(void)
{
	struct {
		long type;
		char text[8];
	} m = {1, "x"};
	int id = outside() ? msgget(IPC_PRIVATE, IPC_CREAT | 0600) : 0;
	int ret = esc_errno(msgsnd(id, &m, 1, IPC_NOWAIT));

	if (outside())
		msgctl(id, IPC_RMID, NULL);
	return ret;
}

static int sem_used(void)
{
	struct sembuf op = {0, 1, IPC_NOWAIT};
	int id = outside() ? semget(IPC_PRIVATE, 1, IPC_CREAT | 0600) : 0;
	int ret = esc_errno(semop(id, &op, 1));

	if (outside())
		semctl(id, 0, IPC_RMID);
	return ret;
}

/* The kernel's mq_open wants the name without the slash that the library's has. */
static int mq_opened(void)
{
	const char *name = esc_arg("mq");

	return esc_errno(syscall(SYS_mq_open, name + (*name == '/'), O_RDWR | O_CLOEXEC, 0, NULL));
}

static int mq_removed(void)
{
	char name[64];

	/* Outside, a queue of its own: the scene's is needed. */
	snprintf(name, sizeof(name), "%s-esc", esc_arg("mq"));
	if (outside())
		syscall(SYS_mq_open, name + (*name == '/'), O_RDWR | O_CREAT | O_CLOEXEC, 0600,
			NULL);
	return esc_errno(syscall(SYS_mq_unlink, name + (*name == '/')));
}

static int mq_mounted(void)
{
	return esc_errno(mount("mqueue", esc_arg("write"), "mqueue", 0, NULL));
}

static int dev_shm(void)
{
	int fd = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && outside())
		return esc_skip("no /dev/shm here");
	return fd < 0 ? errno : 0;
}

static const struct esc_try tries[] = {
	{"shm-read", shm_read, "syscall", 1, ESC_OUTSIDE, NULL},
	{"shm-guessed", shm_guessed, "syscall", 1, ESC_OUTSIDE, NULL},
	{"shm-info", shm_info, "syscall", 1, ESC_OUTSIDE, NULL},
	{"shm-made", shm_made, "syscall", 1, ESC_OUTSIDE, NULL},
	{"msg-made", msg_made, "syscall", 1, ESC_OUTSIDE, NULL},
	{"sem-made", sem_made, "syscall", 1, ESC_OUTSIDE, NULL},
	{"msg-sent", msg_sent, "syscall", 1, ESC_OUTSIDE, NULL},
	{"sem-used", sem_used, "syscall", 1, ESC_OUTSIDE, NULL},
	{"mq-open", mq_opened, "syscall", 1, ESC_OUTSIDE, NULL},
	{"mq-unlink", mq_removed, "syscall", 1, ESC_OUTSIDE, NULL},
	{"mq-mount", mq_mounted, "syscall", 1, ESC_OUTSIDE, NULL},
	{"dev-shm", dev_shm, "file.absent", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(47, "System V IPC and POSIX queues with outsiders",
	"filter, IPC namespace, ipc hooks, the view", tries);
