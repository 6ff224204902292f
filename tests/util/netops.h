/*
 * Socket operations that tests run inside a brane: each returns 0 or the errno that it ended with.
 *
 * Comes in: struct netop. Used by: tests/vm/test_bpf_net.c, tests/live/test_bpf_cgroup.c. Servers are
 * made by the caller, outside.
 */
#ifndef OMEGA_TESTS_NETOPS_H
#define OMEGA_TESTS_NETOPS_H

#include <stdint.h>

struct netop {
	int family, type, proto; /* of the socket */
	const char *addr;	 /* NULL: none */
	uint16_t port;
	int addr_family; /* of the address; 0: as the socket */
	int fd;		 /* an inherited socket, where the operation wants one */
};

int net_socket(void *op);   /* socket() */
int net_connect(void *op);  /* connect(), then one byte if it worked */
int net_sendto(void *op);   /* sendto() with the address, unconnected */
int net_unspec(void *op);   /* sendto() with the address under family 0 */
int net_fastopen(void *op); /* sendto(MSG_FASTOPEN) */
int net_bind(void *op);	    /* bind() */
int net_listen(void *op);   /* bind() when addr is set, then listen() */
int net_send(void *op);	    /* send() on op->fd */

/* A listening (TCP) or bound (UDP) socket on 127.0.0.1 or ::1; *PORT is the one it got. */
int net_server(int family, int type, uint16_t *port);

#endif
