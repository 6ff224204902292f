/*
 * `omegad --probe`: what this kernel can enforce, without starting anything.
 *
 * Comes in: nothing. Goes out: one line per layer and per hook that is missing on stdout; exit code 0 if
 * every layer is complete, 9 if not. Called by: main, for omegad, for tools/demo and for packagers'
 * checks. Never does: attach, pin, or leave anything behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "agent/roles/load/load.h"

static void say_layer(const char *name, uint32_t have, uint32_t layer)
{
	printf("%-8s %s\n", name, have & layer ? "complete" : "cannot be enforced");
}

int load_probe(void)
{
	OM_CLEANUP(om_free_ptr) struct om_bpf_probe *probe = calloc(1, sizeof(*probe));
	struct om_err err = {0};

	if (geteuid() != 0) {
		fputs("omegad: --probe must be run by root\n", stderr);
		return 5;
	}
	if (!probe || om_bpf_probe(probe, &err) < 0) {
		fprintf(stderr, "omegad: %s\n", probe ? err.text : "out of memory");
		return 1;
	}
	say_layer("kernel", probe->layers, OM_LAYER_KERNEL);
	say_layer("network", probe->layers, OM_LAYER_NETWORK);
	for (uint32_t i = 0; i < probe->count; i++)
		if (probe->hooks[i].ret && probe->hooks[i].required)
			printf("missing  %s: %s\n", probe->hooks[i].name, probe->hooks[i].why);
	return probe->layers == (OM_LAYER_KERNEL | OM_LAYER_NETWORK) ? 0 : 9;
}
