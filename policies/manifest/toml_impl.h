/*
 * What the parts of the TOML parser share.
 *
 * Comes in: the cursor over the input. Goes out: nodes in the arena of the document. Called by:
 * policies/manifest/toml_*.c only. Never does: leave that folder; users include toml.h.
 *
 * Functions return 0, -EINVAL (a finding was added; the caller unwinds to the statement, which looks
 * for the next one) or -ENOMEM / -E2BIG (the whole parse stops). An error that does not stop the
 * parser from knowing where it is adds a finding and still returns 0: the parse fails at its end.
 */
#ifndef OMEGA_TOML_IMPL_H
#define OMEGA_TOML_IMPL_H

#include <omega/arena.h>

#include "policies/manifest/toml.h"

/* How a table or array came about decides whether it may be opened again (TOML 1.0.0, "Table"). */
enum om_toml_origin {
	OM_TOML_VALUE = 0, /* a value: arrays and inline tables are closed for good */
	OM_TOML_IMPLIED,   /* [a.b] implied a: [a] may still follow, once */
	OM_TOML_HEADER,	   /* [a] */
	OM_TOML_DOTTED,	   /* a.b = 1 made a: only more dotted keys of the same section extend it */
	OM_TOML_TABLES,	   /* [[a]] made this array: another [[a]] extends it */
};

struct om_toml {
	struct om_arena arena;
	struct om_toml_node *root;
};

/* A crit-bit tree: see toml_tree.c. */
struct om_toml_branch {
	uint32_t at;		    /* position of the symbol that decides */
	uint16_t mask;		    /* its deciding bit; 0 in a leaf */
	struct om_toml_entry *leaf; /* in a branch: any leaf below it */
	struct om_toml_branch *child[2];
};

/* One part of a dotted key. */
struct om_toml_part {
	struct om_toml_str key;
	struct om_pos pos;
	struct om_toml_part *next;
};

struct om_toml_parser {
	const char *data, *end;
	const char *p;		/* next byte */
	const char *line_start; /* of the line that p is in */
	uint32_t line;
	struct om_toml *doc;
	struct om_toml_node
		*section; /* where keys go: the root, the last header's table or a scratch */
	struct om_diags *diags;
	struct om_toml_limits limits;
	uint32_t keys;
	uint32_t errors;
	uint32_t error_line;	 /* of the newest finding: one syntax error a line is enough */
	enum om_err_id first_id; /* and its text, for the caller's om_err */
	struct om_pos first_pos;
	bool is_text; /* every byte is valid UTF-8 and no control character */
	uint64_t work;
};

#define OM_TOML_SHOWN 64 /* bytes of input that a message quotes, terminating NUL included */

/* toml_lex.c */
/* -EINVAL: so many bad bytes that parsing has no sense. Otherwise bad bytes are only findings. */
int om_toml_check_text(struct om_toml_parser *ps);
/* The position of p, one column wide. */
struct om_pos om_toml_here(const struct om_toml_parser *ps);
/* FROM, where START points, widened up to p or to the end of its line. */
struct om_pos om_toml_span(const struct om_toml_parser *ps, struct om_pos from, const char *start);
/* Input made safe to print on one line of a terminal, cut with "..." when long; returns BUF. */
const char *om_toml_show(char buf[static OM_TOML_SHOWN], const char *s, size_t len);
/* The character at p, which is not the end. */
const char *om_toml_show_here(const struct om_toml_parser *ps, char buf[static OM_TOML_SHOWN]);
/* Adds a finding. HINT may be NULL. */
void om_toml_error(struct om_toml_parser *ps, enum om_err_id id, struct om_pos pos,
		   const char *hint, const char *fmt, ...) OM_PRINTF(5, 6);
/* As om_toml_error with OM_ERR_TOML_SYNTAX, but only once a line; returns -EINVAL. */
int om_toml_syntax(struct om_toml_parser *ps, struct om_pos pos, const char *hint, const char *fmt,
		   ...) OM_PRINTF(4, 5);
/* Adds the finding for exhausted memory, once; returns -ENOMEM. */
int om_toml_nomem(struct om_toml_parser *ps);
/* Whether TEXT (NUL-terminated) stands at p. */
bool om_toml_at(const struct om_toml_parser *ps, const char *text);
void om_toml_skip_blank(struct om_toml_parser *ps);
void om_toml_skip_comment(struct om_toml_parser *ps);
bool om_toml_skip_newline(struct om_toml_parser *ps);
void om_toml_skip_lines(struct om_toml_parser *ps);
/* A bare, quoted or dotted key and the blanks behind it; *OUT is never an empty list on success. */
int om_toml_key(struct om_toml_parser *ps, struct om_toml_part **out);

/* toml_string.c: p is at the opening quote; afterwards behind the closing one. */
int om_toml_string(struct om_toml_parser *ps, struct om_toml_str *out);

/* toml_number.c, toml_datetime.c: S is the whole text of the value; errors are findings at POS. */
int om_toml_number(struct om_toml_parser *ps, const char *s, size_t len, struct om_pos pos,
		   struct om_toml_node *out);
/* Whether S can only be meant as a date or time. */
bool om_toml_is_datetime(const char *s, size_t len);
void om_toml_datetime(struct om_toml_parser *ps, const char *s, size_t len, struct om_pos pos,
		      struct om_toml_node *out);

/* toml_value.c: DEPTH is that of the table or array which holds the value. */
int om_toml_value(struct om_toml_parser *ps, uint32_t depth, struct om_toml_node **out);

/* toml_tree.c */
/* NULL when memory ran out, which is then a finding. */
struct om_toml_node *om_toml_node(struct om_toml_parser *ps, enum om_toml_type type,
				  enum om_toml_origin origin, uint32_t depth, struct om_pos pos);
/* Amortised constant time: the array doubles. */
int om_toml_append(struct om_toml_parser *ps, struct om_toml_node *array,
		   struct om_toml_node *item);
/* KEY must not be there yet. -E2BIG past the limit of keys. */
int om_toml_insert(struct om_toml_parser *ps, struct om_toml_node *table,
		   const struct om_toml_part *part, struct om_toml_node *value);
/* The entry or NULL; TABLE must be one. *WORK grows by the steps taken. */
struct om_toml_entry *om_toml_lookup(const struct om_toml_node *table, const char *key, size_t len,
				     uint64_t *work);

/* toml_table.c: the rules for what may be defined where. */
/* Puts VALUE at KEY below BASE. A duplicate is a finding and still 0: the file is read on. */
int om_toml_define(struct om_toml_parser *ps, struct om_toml_node *base,
		   const struct om_toml_part *key, struct om_toml_node *value);
/* Makes KEY the section. -EINVAL: a finding, and the section is unchanged. */
int om_toml_open(struct om_toml_parser *ps, const struct om_toml_part *key, bool is_array,
		 struct om_pos pos);
/* Adds the finding; returns -EINVAL. */
int om_toml_depth_error(struct om_toml_parser *ps, struct om_pos pos);

/* toml_parse.c */
/* key = value, defined below BASE: a section or an inline table that is still open. */
int om_toml_pair(struct om_toml_parser *ps, struct om_toml_node *base);

#endif
