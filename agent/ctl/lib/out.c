/*
 * Text made safe for a terminal, colours, error messages.
 *
 * Comes in: bytes from anywhere. Goes out: the same, visible. Called by: all verbs. Never does: trust a
 * byte because it came from our own log: the paths in it were chosen by workloads.
 */
#include <string.h>
#include "agent/ctl/lib/out.h"

/* Decodes one character; 0 when P does not start with well-formed UTF-8. */
static size_t decode(const unsigned char *p, size_t len, uint32_t *out)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = p[0] < 0x80		   ? 1
		   : (p[0] & 0xe0) == 0xc0 ? 2
		   : (p[0] & 0xf0) == 0xe0 ? 3
		   : (p[0] & 0xf8) == 0xf0 ? 4
					   : 0;
	uint32_t c;

	if (!n || n > len)
		return 0;
	c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*out = c;
	return n;
}

/*
 * Characters that change how the text around them is shown, or show nothing: C0, C1, soft hyphen, bidi
 * marks, embeddings and isolates ("Trojan Source", CVE-2021-42574), zero width, line separators, tags.
 */
static bool invisible(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || c == 0x180e ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
	       (c >= 0xe0000 && c <= 0xe007f);
}

size_t om_ctl_put(FILE *f, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t columns = 0;

	while (len) {
		uint32_t c;
		size_t n = decode(p, len, &c);
		int w = 1;

		if (!n)
			w = fprintf(f, "\\x%02x", *p);
		else if (c == '\n' || c == '\t')
			w = fprintf(f, "\\%c", c == '\n' ? 'n' : 't');
		else if (invisible(c))
			w = c < 0x80 ? fprintf(f, "\\x%02x", c) : fprintf(f, "\\u%04x", c);
		else
			fwrite(p, 1, n, f);
		columns += w > 0 ? (size_t)w : 0;
		n = n ? n : 1;
		p += n;
		len -= n;
	}
	return columns;
}

char *om_ctl_clean(const char *text)
{
	char *buf = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&buf, &len);

	if (!f)
		return NULL;
	om_ctl_put(f, text, strlen(text));
	if (fclose(f) != 0) {
		free(buf);
		return NULL;
	}
	return buf;
}

const char *om_ctl_color(bool on, enum ctl_color color)
{
	static const char *const codes[] = {
		[CTL_PLAIN] = "",	  [CTL_BOLD] = "\x1b[1m",    [CTL_RED] = "\x1b[1;31m",
		[CTL_GREEN] = "\x1b[32m", [CTL_YELLOW] = "\x1b[33m", [CTL_DIM] = "\x1b[2m",
	};

	return on ? codes[color] : "";
}

const char *om_ctl_uncolor(bool on)
{
	return on ? "\x1b[0m" : "";
}

const char *om_ctl_remedy(enum om_err_id id)
{
	switch ((int)id) {
	case OM_ERR_CTL_UNREACHABLE:
		return "start omegad as root, or name its run directory with --run-dir";
	case OM_ERR_CTL_PERMISSION:
		return "run this as root; members of the group 'omega' may use get, describe, logs "
		       "and doctor";
	case OM_ERR_CTL_TIMEOUT:
		return "look at omegad's own log, or wait longer with --timeout";
	case OM_ERR_NOT_FOUND:
		return "'omegactl get' lists the branes";
	case OM_ERR_BPF_UNSUPPORTED:
	case OM_ERR_BPF_HOOK:
	case OM_ERR_BPF_LOAD:
	case OM_ERR_CGBPF_UNSUPPORTED:
	case OM_ERR_NFT_UNSUPPORTED:
	case OM_ERR_CGROUP_CONTROLLER:
		return "'omegactl doctor' says what is missing and what to do; a manifest can name "
		       "the "
		       "layers it needs: layers = [\"process\", \"network\"]";
	case OM_ERR_TXN_FROZEN:
		return "'omegactl delete' removes the brane; it is denied everything until then";
	case OM_ERR_TAMPERED:
		return "'omegactl delete' and 'omegactl apply' load the policy anew; find out who "
		       "changed it first";
	case OM_ERR_VERIFY_NO_KEYS:
		return "name the directory that holds substrate.vkey with --keys";
	default:
		return NULL;
	}
}

void om_ctl_error(const struct om_ctl *ctl, const struct om_err *err)
{
	const char *remedy = om_ctl_remedy(err->id), *text = om_err_text(err->id);
	char code[8];

	/* Where both go to one place, what was done stands before what failed. */
	fflush(stdout);
	fprintf(stderr, "%s: %serror[%s]%s: ", ctl->prog, om_ctl_color(ctl->color_err, CTL_RED),
		om_err_code(err->id, code), om_ctl_uncolor(ctl->color_err));
	/* Usage texts say everything already; so does one that repeats the table's text. */
	if (err->id != OM_ERR_USAGE && strncmp(err->text, text, strlen(text)) != 0)
		fprintf(stderr, "%s%s", text, err->text[0] ? ": " : "");
	om_ctl_put(stderr, err->text, strlen(err->text));
	fprintf(stderr, "\n");
	if (remedy)
		fprintf(stderr, "  %s\n", remedy);
}

int om_ctl_fail(const struct om_ctl *ctl, const struct om_err *err)
{
	om_ctl_error(ctl, err);
	return om_err_exit(err->id);
}
