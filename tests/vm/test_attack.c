/*
 * Rows of the escape catalogue, tried as root inside a brane of a real omegad, layer by layer.
 *
 * Comes in: nothing. Goes out: TAP; the names hold the catalogue's numbers. Called by: make check, in
 * the VM. What must hold: no row reaches anything, and the host's own things are as they were: a file,
 * a process, a segment, a queue, sockets, cgroups. Never does: assert on time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "agent/chain/verify.h"
#include "tests/util/agent.h"

#define SHM_KEY 0x6f6d6567

static struct agent ag;
static bool scopes = true, keep;
static struct {
	char dir[64], write[80], helper[80];
	int tcp, udp, stream, dgram, path, shm;
	int tcp_port, udp_port;
	pid_t victim;
} h;

/* What the host has and no brane may reach. */
static int bound_inet(int type, int *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (void *)&a, sizeof(a)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (void *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static int bound_unix(int type, const char *name, int abstract)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(a.sun_path + abstract, name, strlen(name));
	assert_int_equal(
		bind(fd, (void *)&a,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1)),
		0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void copy_file(const char *from, const char *to)
{
	static char buf[65536];
	int in = open(from, O_RDONLY | O_CLOEXEC), out;
	ssize_t n;

	assert_true(in >= 0);
	out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_true(out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		assert_int_equal(write(out, buf, (size_t)n), n);
	close(in);
	close(out);
}

static pid_t victim(void)
{
	pid_t pid = fork();

	if (!pid) {
		for (;;)
			pause();
	}
	return pid;
}

static int setup(void **state)
{
	char path[4000];

	(void)state;
	agent_open(&ag, "kernel,process,network");
	/* Not below /tmp, which a brane's view may have of its own. */
	snprintf(h.dir, sizeof(h.dir), "/run/om-attack-XXXXXX");
	assert_non_null(mkdtemp(h.dir));
	assert_int_equal(chmod(h.dir, 0755), 0);
	snprintf(h.write, sizeof(h.write), "%s/write", h.dir);
	assert_int_equal(mkdir(h.write, 0755), 0);
	snprintf(h.helper, sizeof(h.helper), "%s/attack", h.dir);
	snprintf(path, sizeof(path), "%s/tests/helpers/attack", ag.exe);
	copy_file(path, h.helper);
	snprintf(path, sizeof(path), "%s/secret", h.dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "secret", 6), 6);
	close(fd);
	h.tcp = bound_inet(SOCK_STREAM, &h.tcp_port);
	h.udp = bound_inet(SOCK_DGRAM, &h.udp_port);
	h.stream = bound_unix(SOCK_STREAM, "om-attack", 1);
	h.dgram = bound_unix(SOCK_DGRAM, "om-attack-d", 1);
	snprintf(path, sizeof(path), "%s/sock", h.dir);
	h.path = bound_unix(SOCK_STREAM, path, 0);
	h.shm = shmget(SHM_KEY, 4096, IPC_CREAT | 0600);
	assert_true(h.shm >= 0);
	struct mq_attr qa = {.mq_maxmsg = 1, .mq_msgsize = 8};
	mqd_t q = mq_open("/om-attack", O_CREAT | O_RDWR, 0600, &qa);
	assert_true(q >= 0);
	mq_close(q);
	h.victim = victim();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (h.victim > 0) {
		kill(h.victim, SIGKILL);
		waitpid(h.victim, NULL, 0);
	}
	if (h.shm >= 0)
		shmctl(h.shm, IPC_RMID, NULL);
	mq_unlink("/om-attack");
	if (getenv("OMEGA_ATTACK_HOLD") && system(getenv("OMEGA_ATTACK_HOLD")))
		print_message("# hold\n");
	if (ag.dir[0])
		agent_close(&ag);
	return 0;
}

static json_t *of(const char *name)
{
	return json_pack("{s:s}", "name", name);
}

static int flood; /* how many, for the helper; 0: rows */

static const char *manifest(const char *name, const char *layers)
{
	static char text[8192];
	/* A grant of its own: the network namespace is then the host's. */
	bool net = strstr(layers, "network") != NULL;

	snprintf(text, sizeof(text),
		 "[brane.%s]\nsubstrate = \"local\"\ncapability = \"standard\"\nimage = \"host:\"\n"
		 "user = 0\nlayers = [%s]\n"
		 "command = [\"%s\", \"dir=%s\", \"write=%s\", \"run=%s/run\", \"cgroup=%s\","
		 " \"own=%s/%s\", \"victim=%d\", \"tcp=%d\", \"udp=%d\", \"shm=%d\","
		 " \"abstract=om-attack\", \"mark=%s\", \"only=%s\", \"flood=%d\"]\n"
		 "[brane.%s.filesystem]\nwrite = [\"%s/\"]\nexec = [\"%s\"]\n"
		 "%s%s%s",
		 name, layers, h.helper, h.dir, h.write, ag.dir, "/sys/fs/cgroup", ag.cgroup, name,
		 (int)h.victim, h.tcp_port, h.udp_port, SHM_KEY, getenv("OMEGA_ATTACK_MARK") ?: "",
		 getenv("OMEGA_ATTACK_ONLY") ?: "", flood, name, h.write, h.helper,
		 net ? "[brane." : "", net ? name : "",
		 net ? ".network]\negress = [\"127.0.0.1:9/tcp\"]\n" : "");
	return text;
}

/* 1: WORD stands in the blank-separated LIST. */
static int listed(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += n)
		if ((p == list || p[-1] == ' ') && (!p[n] || p[n] == ' '))
			return 1;
	return 0;
}

/* Counts the rows that reached something and are not in HARMLESS. */
static int judge(const char *out, const char *harmless)
{
	char line[128], name[64], word[64];
	int bad = 0, rows = 0;

	for (const char *p = out; *p; p += strcspn(p, "\n"), p += *p == '\n') {
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(p, "\n"), p);
		if (sscanf(line, "%63s %63s", name, word) != 2)
			continue;
		rows++;
		if (getenv("OMEGA_ATTACK_VERBOSE"))
			print_message("# %s\n", line);
		if ((!strcmp(word, "reached") && !listed(harmless, name)) ||
		    !strcmp(word, "unable") || !strcmp(word, "error")) {
			print_message("# %s\n", line);
			bad++;
		}
	}
	if (!strstr(out, "\nend\n") || !rows) {
		print_message("# it did not come to its end\n");
		bad++;
	}
	return bad;
}

static int host_is_whole(void)
{
	char path[128], buf[16] = "", cmd[256];
	struct stat st;
	int bad = 0;

#define WHOLE(cond, text)                              \
	do {                                           \
		if (!(cond)) {                         \
			bad++;                         \
			print_message("# " text "\n"); \
		}                                      \
	} while (0)
	snprintf(path, sizeof(path), "%s/secret", h.dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	WHOLE(fd >= 0 && read(fd, buf, sizeof(buf)) == 6 && !strcmp(buf, "secret"),
	      "the secret was changed");
	WHOLE(fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0600 && st.st_nlink == 1,
	      "the secret's mode or names were changed");
	close(fd);
	snprintf(cmd, sizeof(cmd), "test -z \"$(find %s -perm /6000)\"", h.write);
	WHOLE(system(cmd) == 0, "a set-user-id file of the host's root was made");
	WHOLE(waitpid(h.victim, NULL, WNOHANG) == 0, "the victim was killed");
	struct shmid_ds ds;
	WHOLE(shmctl(h.shm, IPC_STAT, &ds) == 0, "the segment was removed");
	mqd_t q = mq_open("/om-attack", O_RDONLY);
	WHOLE(q >= 0, "the queue was removed");
	if (q >= 0)
		mq_close(q);
	WHOLE(accept(h.tcp, NULL, NULL) < 0, "a TCP connection came");
	WHOLE(recv(h.udp, buf, 1, MSG_DONTWAIT) < 0, "a datagram came");
	WHOLE(accept(h.stream, NULL, NULL) < 0 || !scopes,
	      "a connection to the abstract name came");
	WHOLE(recv(h.dgram, buf, 1, MSG_DONTWAIT) < 0 || !scopes,
	      "a datagram to the abstract name came");
	WHOLE(accept(h.path, NULL, NULL) < 0, "a connection to the host's path came");
	return bad;
}

static void repair(void)
{
	if (waitpid(h.victim, NULL, WNOHANG) != 0)
		h.victim = victim();
}

static void dump_records(const char *name)
{
	char cmd[512];

	if (!getenv("OMEGA_ATTACK_DUMP"))
		return;
	snprintf(cmd, sizeof(cmd), "cp -r %s/state/audit %s/%s-audit", ag.dir,
		 getenv("OMEGA_ATTACK_DUMP"), name);
	if (system(cmd))
		print_message("# no dump\n");
}

static void attack(const char *name, const char *layers, const char *harmless)
{
	char path[128], text[16384] = "";
	struct om_err err;
	FILE *f;
	int bad;

	if (getenv("OMEGA_ATTACK_BRANE") && strcmp(getenv("OMEGA_ATTACK_BRANE"), name))
		skip();
	repair();
	/* Each brane starts with an empty directory of its own. */
	snprintf(path, sizeof(path), "find %s -mindepth 1 -delete", h.write);
	assert_int_equal(system(path), 0);
	json_decref(agent_apply(&ag, manifest(name, layers), &err));
	if (err.id)
		fail_msg("%s", err.text);
	json_decref(agent_call(&ag, "observe", "io.omega.Observe.Wait", of(name), &err));
	assert_int_equal(agent_await(&ag, name, "log.close", NULL, NULL), 1);
	snprintf(path, sizeof(path), "%s/result", h.write);
	f = fopen(path, "re");
	text[f ? fread(text, 1, sizeof(text) - 1, f) : 0] = 0;
	if (f)
		fclose(f);
	unlink(path);
	bad = judge(text, harmless);
	bad += host_is_whole();
	dump_records(name);
	if (keep) {
		assert_int_equal(bad, 0);
		return;
	}
	json_decref(agent_call(&ag, "control", "io.omega.Control.Delete", of(name), &err));
	if (err.id)
		print_message("# delete: %s\n", err.text);
	assert_int_equal(err.id, 0);
	assert_int_equal(bad, 0);
}

static void all_layers(void **state)
{
	(void)state;
	attack("all", "\"kernel\", \"process\", \"network\"", "043-shared");
}

static void kernel_alone(void **state)
{
	(void)state;
	attack("kern", "\"kernel\"", "042-prlimit-read 043-shared 050-ia32 073-listener");
}

/* 030: the tmpfs that leads to granted paths. 104: a port that no packet reaches. */
#define HARMLESS_PROCNET "030-list 043-shared 104-listen-unbound"

static void process_and_network(void **state)
{
	(void)state;
	/* Before 6.12 nothing but BPF-LSM keeps abstract names apart in one network namespace. */
	scopes = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* its version */) >= 6;
	attack("procnet", "\"process\", \"network\"",
	       scopes ? HARMLESS_PROCNET : HARMLESS_PROCNET " 099-abstract 099-abstract-dgram");
	scopes = true;
}

static uint64_t count_of(json_t *r, const char *key)
{
	const char *s = json_string_value(json_object_get(json_object_get(r, "counts"), key));

	assert_non_null(s);
	return strtoull(s, NULL, 10);
}

/* What no record has room for is in a counter: together they are every attempt. */
static void flooded(void **state)
{
	struct om_err err;
	uint64_t events, folded, lost;
	json_t *r;

	(void)state;
	flood = 6000;
	keep = true;
	attack("flood", "\"kernel\", \"process\", \"network\"", "");
	r = agent_call(&ag, "observe", "io.omega.Observe.Describe", of("flood"), &err);
	events = count_of(r, "events");
	folded = count_of(r, "folded");
	lost = count_of(r, "lost");
	json_decref(r);
	print_message("# %llu events, %llu folded, %llu lost\n", (unsigned long long)events,
		      (unsigned long long)folded, (unsigned long long)lost);
	/* Two opens, a connect and a mkdir each, the last look, and what starting the program asks. */
	assert_in_range(events + folded + lost, 4u * (unsigned int)flood + 1,
			4u * (unsigned int)flood + 10);
	json_decref(agent_call(&ag, "control", "io.omega.Control.Delete", of("flood"), &err));
	flood = 0;
	keep = false;
	assert_true(agent_verify(&ag) == OM_VERDICT_INTACT ||
		    agent_verify(&ag) == OM_VERDICT_INCOMPLETE);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		{"001-104 all layers", all_layers, NULL, NULL, NULL},
		{"001-104 kernel alone", kernel_alone, NULL, NULL, NULL},
		{"flood", flooded, NULL, NULL, NULL},
		{"001-104 process and network", process_and_network, NULL, NULL, NULL},
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
