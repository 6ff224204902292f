/*
 * The capabilities that this build has, and how their descriptors are read.
 *
 * Comes in: gen/registry_list.h, one OM_CAP(name) for each file of policies/caps/. Goes out:
 * lookups. Called by: the binder, the compiler, om_suggest, ctl. Never does: change at run time.
 */
#include <string.h>

#include <omega/cap.h>

#define OM_CAP(name) extern const struct om_cap om_cap_##name;
#include <registry_list.h>
#undef OM_CAP

/* Constant and in the order of the file names: the same build always answers the same. */
static const struct om_cap *const registry[] = {
#define OM_CAP(name) &om_cap_##name,
#include <registry_list.h>
#undef OM_CAP
};

uint32_t om_registry_count(void)
{
	return OM_ARRAY_LEN(registry);
}

const struct om_cap *om_registry_at(uint32_t i)
{
	return i < OM_ARRAY_LEN(registry) ? registry[i] : NULL;
}

const struct om_cap *om_registry_find(const char *name)
{
	for (uint32_t i = 0; i < OM_ARRAY_LEN(registry); i++)
		if (strcmp(registry[i]->name, name) == 0)
			return registry[i];
	return NULL;
}

/* KEY, or KEY.KEY within the nested fields. */
static const struct om_field *field_in(const struct om_field *fields, const char *topic)
{
	size_t len = strcspn(topic, ".");

	for (const struct om_field *f = fields; f && f->key; f++) {
		if (strlen(f->key) != len || memcmp(f->key, topic, len) != 0)
			continue;
		return topic[len] ? field_in(f->fields, topic + len + 1) : f;
	}
	return NULL;
}

const struct om_field *om_registry_field(const char *topic, const struct om_cap **cap)
{
	size_t len = strcspn(topic, ".");

	for (uint32_t i = 0; i < OM_ARRAY_LEN(registry); i++) {
		const struct om_cap *c = registry[i];
		const struct om_field *f = c->table[0] ? NULL : field_in(c->fields, topic);

		if (!f && topic[len] &&
		    ((strlen(c->table) == len && memcmp(c->table, topic, len) == 0) ||
		     (strlen(c->name) == len && memcmp(c->name, topic, len) == 0)))
			f = field_in(c->fields, topic + len + 1);
		if (!f)
			continue;
		if (cap)
			*cap = c;
		return f;
	}
	return NULL;
}

const struct om_value *om_value_get(const struct om_value *table, const char *key)
{
	for (uint32_t i = 0; table && i < table->count; i++)
		if (table->items[i].key && strcmp(table->items[i].key, key) == 0)
			return &table->items[i];
	return NULL;
}

const char *om_value_text(const struct om_value *table, const char *key, const char *dflt)
{
	const struct om_value *v = om_value_get(table, key);

	return v ? v->text : dflt;
}

uint64_t om_value_num(const struct om_value *table, const char *key, uint64_t dflt)
{
	const struct om_value *v = om_value_get(table, key);

	return v ? v->num : dflt;
}
