/*
 * The roles' own log: one structured line per thing that happened, on stderr.
 *
 * Comes in: an event word and key/value pairs. Goes out: `time level role event key=value …`, values
 * quoted where they need it. Called by: omegad and its roles, nobody else (policies/ and loader/
 * return). Never does: block, carry manifest content, or be mistaken for the audit log (which is
 * signed; this is for whoever runs the daemon).
 */
#ifndef OMEGA_ROLE_LOG_H
#define OMEGA_ROLE_LOG_H

#include <stdint.h>
#include <omega/err.h>

enum om_level { OM_INFO, OM_WARN, OM_FAIL };

/* Says who is speaking; NAME is kept. */
void om_slog_role(const char *name);

/*
 * Writes one line. Pairs are const char *key, const char *value, and end with NULL; a NULL value
 * leaves its pair out. At most 20 lines at once and 5 a second after that; the next line that gets
 * through says suppressed=N. OM_FAIL lines are never suppressed.
 */
void om_slog(enum om_level level, const char *event, ...) __attribute__((sentinel));

/* The same with id=OMnnnn and error="…" from ERR, and name=NAME when it is not NULL. */
void om_slog_err(enum om_level level, const char *event, const char *name,
		 const struct om_err *err);

/* V in decimal, in one of eight buffers used in turn: for the pairs of one om_slog call. */
const char *om_slog_num(int64_t v);

#endif
