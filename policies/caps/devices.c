/*
 * Devices: gpio, i2c, display, mouse, gpu. Read and checked; refused until the device layer exists.
 *
 * Comes in: [brane.X.devices]. Goes out: nothing. Called through the registry. Never does: open
 * one.
 */
#include <omega/cap.h>

static const char *const direction_words[] = {"input", "output", NULL};

static const struct om_field gpio_fields[] = {
	{.key = "chip",
	 .type = OM_FIELD_INT,
	 .doc = "number of the gpio chip",
	 .example = "0",
	 .max = 255},
	{.key = "pins",
	 .type = OM_FIELD_INTS,
	 .required = true,
	 .doc = "lines of the chip",
	 .example = "[4, 17]",
	 .max = 1023},
	{.key = "direction",
	 .type = OM_FIELD_WORD,
	 .required = true,
	 .doc = "input or output",
	 .example = "\"output\"",
	 .words = direction_words},
	{0},
};

static const struct om_field i2c_fields[] = {
	{.key = "bus",
	 .type = OM_FIELD_INT,
	 .required = true,
	 .doc = "number of the bus",
	 .example = "1",
	 .max = 255},
	{0},
};

static const struct om_field fields[] = {
	{.key = "gpio",
	 .type = OM_FIELD_TABLE,
	 .doc = "gpio lines and their direction",
	 .example = "{ chip = 0, pins = [4, 17], direction = \"output\" }",
	 .fields = gpio_fields},
	{.key = "i2c",
	 .type = OM_FIELD_TABLE,
	 .doc = "an i2c bus",
	 .example = "{ bus = 1 }",
	 .fields = i2c_fields},
	{.key = "display", .type = OM_FIELD_BOOL, .doc = "the display", .example = "true"},
	{.key = "mouse", .type = OM_FIELD_BOOL, .doc = "the mouse", .example = "true"},
	{.key = "gpu", .type = OM_FIELD_BOOL, .doc = "the graphics processor", .example = "true"},
	{0},
};

const struct om_cap om_cap_devices = {
	.name = "devices",
	.table = "devices",
	.summary = "devices of the host: gpio, i2c, display, mouse, gpu",
	.missing = "the device layer (cgroup device program and claim registry)",
	.fields = fields,
};
