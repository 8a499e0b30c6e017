/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <strings.h>

#include "conf_impl.h"

#define MAX_LINE	509u	/* PoPToP's fgets: 510 with the newline */

bool
conf_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool
conf_cut_comment(char *value)
{
	char *p = value;
	bool comment = false;

	for (; *p != '\0'; p++) {
		if (*p == '#' && (p == value || conf_is_blank(p[-1]))) {
			*p = '\0';
			comment = true;
			break;
		}
	}
	while (p > value && conf_is_blank(p[-1]))
		*--p = '\0';
	return comment;
}

static void
unknown_keyword(struct conf_ctx *ctx, const char *name)
{
	size_t len = strcspn(name, "=:");

	for (size_t i = 0; conf_keywords[i].name != NULL; i++) {
		if (strcasecmp(conf_keywords[i].name, name) == 0) {
			conf_say(ctx, CONF_WARNING, "unknown keyword \"%s\" is "
			    "ignored: keywords are lower case, write %s", name,
			    conf_keywords[i].name);
			return;
		}
		if (name[len] != '\0' && strlen(conf_keywords[i].name) == len &&
		    strncasecmp(conf_keywords[i].name, name, len) == 0) {
			conf_say(ctx, CONF_WARNING, "unknown keyword \"%s\" is "
			    "ignored: %c is no separator, write %s, a blank "
			    "and the value", name, name[len],
			    conf_keywords[i].name);
			return;
		}
	}
	conf_say(ctx, CONF_WARNING, "unknown keyword \"%s\" is ignored", name);
}

/* First match wins; a line that only we can read never hides PoPToP's. */
static void
note_found(struct conf_ctx *ctx, struct conf_found *f, const char *name,
    char *value,
    bool extension)
{
	bool same;

	if (f->line == 0 || (f->extension && !extension)) {
		if (f->line != 0)
			conf_say(ctx, CONF_WARNING,
			    "%s: this line counts, not line "
			    "%u, which PoPToP could not read", name, f->line);
		*f = (struct conf_found){ ctx->line, value, extension };
		return;
	}
	same = strcmp(f->value, value) == 0;
	conf_say(ctx, same ? CONF_NOTICE : CONF_WARNING,
	    "%s is given again: the "
	    "first one, line %u, counts; remove one of the two", name, f->line);
}

/* PoPToP took a CR for a part of the last word. */
enum cr { CR_NONE, CR_ALONE, CR_IN_WORD };

/* Strip what surrounds the text: NUL and after, CR, blanks at the end. */
static enum cr
trim_line(struct conf_ctx *ctx, char *p, size_t len)
{
	char *nul = memchr(p, '\0', len);
	enum cr cr = CR_NONE;

	if (nul != NULL) {
		conf_say(ctx, CONF_WARNING,
		    "a NUL byte: the line ends there, as "
		    "in PoPToP; is this a text file?");
		len = (size_t)(nul - p);
	}
	if (len > 0 && p[len - 1] == '\r') {
		len--;
		cr = len > 0 && !conf_is_blank(p[len - 1]) ? CR_IN_WORD :
		    CR_ALONE;
	}
	p[len] = '\0';
	while (len > 0 && conf_is_blank(p[len - 1]))
		p[--len] = '\0';
	return cr;
}

/* One line, p[0..len) with room for a NUL. */
static void
take_line(struct conf_ctx *ctx, char *p, size_t len, struct conf_found *found)
{
	bool bom = false, extension;
	enum cr cr;
	const struct conf_kw *kw;
	size_t lead, n;

	if (len > MAX_LINE) {
		if (*p != '#')
			conf_say(ctx, CONF_WARNING,
			    "Long config file line ignored. "
			    "%u bytes are the most, as in PoPToP", MAX_LINE);
		return;
	}
	if (ctx->line == 1 && len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
		p += 3;		/* a mark that some editors leave */
		len -= 3;
		bom = true;
	}
	cr = trim_line(ctx, p, len);
	lead = strspn(p, CONF_BLANKS);
	p += lead;
	if (*p == '\0' || *p == '#')
		return;
	if (cr != CR_NONE && !ctx->crlf) {
		ctx->crlf = true;
		conf_say(ctx, CONF_WARNING,
		    "lines end in CR LF: the CR is dropped; "
		    "PoPToP kept it and did not see keywords without a value");
	}
	n = strcspn(p, CONF_BLANKS);
	extension = bom || lead > 0 || (cr == CR_IN_WORD && p[n] == '\0');
	if (p[n] != '\0')
		p[n++] = '\0';
	if ((kw = conf_kw_find(p)) == NULL) {
		unknown_keyword(ctx, p);
		return;
	}
	if (bom)
		conf_say(ctx, CONF_WARNING, "the file starts with a byte order "
		    "mark: %s is read; PoPToP ignored the line", kw->name);
	if (lead > 0)
		conf_say(ctx, CONF_WARNING,
		    "Config file line starts with a space: "
		    "%s is read; PoPToP ignored the line", kw->name);
	p += n;
	p += strspn(p, CONF_BLANKS);
	note_found(ctx, &found[kw - conf_keywords], kw->name, p, extension);
}

/* text[0..len) has room for one more byte and is cut up in place. */
void
conf_scan_lines(struct conf_ctx *ctx, char *text, size_t len,
    struct conf_found *found)
{
	char *end = text + len;
	char *stop;

	ctx->many = true;
	for (char *p = text; p < end; p = stop + 1) {
		stop = memchr(p, '\n', (size_t)(end - p));
		if (stop == NULL)
			stop = end;
		ctx->line++;
		take_line(ctx, p, (size_t)(stop - p), found);
	}
	ctx->many = false;
}
