/*
 * Bandwidth: a rate for each direction. Read and checked; refused until a layer can pace traffic.
 *
 * Comes in: network.bandwidth. Goes out: nothing. Called through the registry. Never does: accept a
 * rate that nobody holds.
 */
#include <omega/cap.h>

static const struct om_field rate_fields[] = {
	{.key = "egress",
	 .type = OM_FIELD_RATE,
	 .doc = "bytes or bits a second sent",
	 .example = "\"10Mbit/s\"",
	 .min = 1,
	 .max = 1ull << 50},
	{.key = "ingress",
	 .type = OM_FIELD_RATE,
	 .doc = "bytes or bits a second received",
	 .example = "\"50Mbit/s\"",
	 .min = 1,
	 .max = 1ull << 50},
	{0},
};

static const struct om_field fields[] = {
	{.key = "bandwidth",
	 .type = OM_FIELD_TABLE,
	 .doc = "a rate for each direction",
	 .example = "{ egress = \"10Mbit/s\", ingress = \"50Mbit/s\" }",
	 .fields = rate_fields},
	{0},
};

const struct om_cap om_cap_bandwidth = {
	.name = "bandwidth",
	.table = "network",
	.summary = "a rate for each direction of the network",
	.missing = "the gateway layer, which paces traffic",
	.fields = fields,
};
