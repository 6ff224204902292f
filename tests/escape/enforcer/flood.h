/*
 * Denials in number, each of them different from the last.
 *
 * Comes in: how many. Goes out: 0 when one of them was no denial. Called by: rows 112, 113, 116, 117.
 * Never does: repeat an absent path, which is counted and not recorded.
 */
#ifndef OMEGA_TESTS_ESCAPE_FLOOD_H
#define OMEGA_TESTS_ESCAPE_FLOOD_H

#include "tests/escape/lib/net.h"

/* N connections that no brane may make. Outside every brane: none, there the act alone counts. */
static inline int esc_flood(int n)
{
	for (int i = 0; !esc_is_outside() && i < n; i++) {
		struct esc_addr a = esc_addr("127.0.0.2", 20000 + i);
		int fd = esc_socket(AF_INET, SOCK_STREAM, 0);
		int ret = connect(fd, &a.sa, a.len);
		int why = errno;

		close(fd);
		if (!ret || why != EPERM)
			return 0;
	}
	return 1;
}

#endif
