/*
 * What a vector's requests need to be real: an image with the files they name, a network in which every
 * address is at home.
 *
 * Comes in: an IR, its bundle, requests. Goes out: files, listeners, the variant of the manifest that
 * runs the helper in that image. Called by: live tests. Never does: touch the host's own files or
 * network: mounts and addresses are in namespaces of the test.
 */
#ifndef OMEGA_TESTS_SCENE_H
#define OMEGA_TESTS_SCENE_H

#include <omega/bundle.h>
#include <omega/ir.h>
#include <omega/request.h>

#define SCENE_HELPER "/omega-reach" /* its place in the view; no vector names it */

struct scene {
	char top[64];	    /* a tmpfs of the test's own */
	char image[96];	    /* TOP/N */
	const char *helper; /* path of the static helper on the host */
	int serial;
	int listener; /* of the request that is under way, -1 */
};

/* Own mount and network namespace, every address local on lo. Asserts. */
void scene_open(struct scene *s, const char *helper);
void scene_close(struct scene *s);

/*
 * TEXT with the helper executable and the image in place, and with LAYERS (NULL: as it is). One line or
 * word is added for each; everything else stays. malloc'd.
 */
char *scene_variant(struct scene *s, const char *text, const char *layers);

/* Makes the files that IR grants and that the COUNT requests name. A fresh image. */
void scene_make(struct scene *s, const struct om_ir *ir, const struct om_bundle *b,
		const struct om_request *reqs, uint32_t count);
/* Right before REQ: what is to be made is not there, what is to be used is; somebody listens. */
void scene_set(struct scene *s, const struct om_bundle *b, const struct om_request *req);
/* After REQ: whether somebody was reached (waits if WANT). Closes the listener. */
bool scene_reached(struct scene *s, bool want);

#endif
