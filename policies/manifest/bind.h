/*
 * From the TOML tree to typed fields.
 *
 * Comes in: a parsed manifest. Goes out: for each brane, values bound to the field tables of the
 * registered capabilities, or findings. Called by: policies/compile.c. Never does: know a single
 * key by name, except `brane`; every other one comes from a descriptor.
 */
#ifndef OMEGA_POLICIES_BIND_H
#define OMEGA_POLICIES_BIND_H

#include <omega/arena.h>
#include <omega/cap.h>
#include <policies/manifest/toml.h>

struct om_bound_brane {
	const char *name; /* valid by the naming rule */
	struct om_pos pos;
	struct om_value root; /* the brane's own keys, and its tables as items by name */
};

struct om_binding {
	struct om_arena arena;
	struct om_toml *toml; /* owns the texts */
	struct om_bound_brane *branes;
	uint32_t count;
};

/*
 * Binds what TOML holds and takes ownership of TOML in every case. Findings go to DIAGS; a value
 * with an error is left out of the result, so that the capabilities can still look at the others.
 * -ENOMEM, else 0: whether there were errors is told by diags->errors.
 */
int om_bind(struct om_toml *toml, struct om_binding *out, struct om_diags *diags,
	    struct om_err *err) OM_MUST_CHECK;
void om_binding_done(struct om_binding *b);

/* The table in which CAP's fields stand, or NULL. */
const struct om_value *om_bound_table(const struct om_bound_brane *brane, const struct om_cap *cap);

/* --- between bind.c and bind_value.c --- */

struct om_binder {
	struct om_arena *arena;
	struct om_diags *diags;
	bool nomem;
};

/*
 * Binds NODE to field F, which stands in SECTION ("brane.api.network"). False if the value is left
 * out; the finding, or b->nomem, says why. OUT keeps key and key_pos as the caller set them.
 */
bool om_bind_value(struct om_binder *b, const struct om_field *f, const char *section,
		   const struct om_toml_node *node, struct om_value *out) OM_MUST_CHECK;

/* A finding about a key that no field has, with the nearest of the N known WORDS. */
void om_bind_unknown(struct om_binder *b, const char *section, const struct om_toml_entry *e,
		     const char *const *words, size_t n);

#endif
