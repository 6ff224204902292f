/*
 * What each layer of a bundle enforces, as text that a person can review.
 *
 * Comes in: a bundle that om_bundle_open accepted. Goes out: one file of text for each layer. Called by:
 * compile. Never does: read anything but the bundle: what is shown is what the loader gets.
 */
#ifndef OMEGA_CTL_LAYERS_H
#define OMEGA_CTL_LAYERS_H

#include <stdio.h>
#include <omega/bundle.h>

struct om_layer_text {
	const char *file; /* "bpf-lsm.txt" */
	void (*put)(const struct om_bundle *b, FILE *f);
};

extern const struct om_layer_text om_layer_texts[]; /* ends with .file == NULL */

/* 64 hex digits and a NUL. */
void om_ctl_hex(const uint8_t id[static 32], char out[static 65]);

#endif
