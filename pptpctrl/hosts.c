/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define ITEM_SEPARATORS	", \t\r\n"
#define WORD_SEPARATORS	" \t\r\v\f"	/* in a file of patterns */
#define NUMERIC		"0123456789."

enum item_kind {
	ITEM_ANY,
	ITEM_NONE,		/* matches no IPv4 address, or not pptpd */
	ITEM_NET,
	ITEM_TEXT,		/* compared with the address as text */
	ITEM_EXCEPT,
};

struct item {
	enum item_kind kind;
	uint32_t net, mask;	/* ITEM_NET, network order */
	char text[20];		/* ITEM_TEXT; "10.1." is a prefix */
};

struct rule {
	const char *name;	/* of the file */
	unsigned line;
	bool allow;
	struct item *item;	/* first the server's ends, then clients */
	size_t n_servers, n;
};

struct hosts {
	struct rule *rule;
	size_t n;
	bool decided;		/* a rule for everybody: no more matter */
};

/* One file while it is read. */
struct reader {
	struct hosts *h;
	const char *name;
	unsigned line;		/* where the rule at hand starts */
	bool deny;
	bool failed;
	bool reads;		/* files of patterns too */
	conf_report_fn report;
	void *arg;
};

static void __attribute__((format(printf, 3, 4)))
say(struct reader *r, enum conf_severity severity, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (severity == CONF_ERROR)
		r->failed = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	if (r->report != NULL)
		r->report(r->arg, severity, r->name, r->line, text);
}

/* --- the fields of a line ------------------------------------------------ */

/* Cut *p at the next colon that is neither escaped nor in brackets (an IPv6
 * address).  Returns what came before it; *p is NULL after the last. */
static char *
next_field(char **p)
{
	char *in = *p, *out = in, *start = in;
	bool bracket = false;

	for (; *in != '\0'; in++) {
		if (*in == '[')
			bracket = true;
		else if (*in == ']')
			bracket = false;
		else if (*in == ':' && !bracket)
			break;
		else if (*in == '\\' && in[1] == ':')
			in++;
		*out++ = *in;
	}
	*p = *in == ':' ? in + 1 : NULL;
	*out = '\0';
	return start;
}

static bool
same(const char *a, const char *b)
{
	return strcasecmp(a, b) == 0;
}

/* "192.168.1.0": four decimal numbers and nothing else. */
static bool
dot_quad(const char *text, uint32_t *ret)
{
	struct in_addr addr;

	if (inet_pton(AF_INET, text, &addr) != 1)
		return false;
	*ret = addr.s_addr;
	return true;
}

/* The mask of NET/MASK or NET/LENGTH; libwrap takes neither a length of 0 nor
 * 255.255.255.255, which its functions return for an error. */
static bool
read_mask(const char *text, uint32_t *ret)
{
	char *end;
	unsigned long bits;

	if (dot_quad(text, ret))
		return *ret != 0xffffffffu;
	bits = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || bits < 1 ||
	    bits > 32)
		return false;
	*ret = htonl(0xffffffffu << (32 - bits));
	return true;
}

static void
read_net(struct reader *r, const char *text, const char *slash,
    struct item *it)
{
	char net[32];

	snprintf(net, sizeof(net), "%.*s", (int)(slash - text), text);
	it->kind = ITEM_NET;
	if ((size_t)(slash - text) >= sizeof(net) ||
	    !dot_quad(net, &it->net) || !read_mask(slash + 1, &it->mask)) {
		it->kind = ITEM_NONE;
		say(r, CONF_WARNING, "\"%s\" is no NETWORK/MASK and matches "
		    "nobody, as before", text);
	} else if ((it->net & it->mask) != it->net) {
		say(r, CONF_WARNING, "\"%s\" matches nobody, as before: the "
		    "address has bits that the mask leaves out", text);
	}
}

/* What text needs that we do not do, or NULL. */
static const char *
needs(const char *text)
{
	if (*text == '#')
		return "DNS (a comment has a line of its own)";
	if (strchr(text, '@') != NULL)
		return *text == '@' ? "NIS" : "an ident server";
	if (*text == '/')
		return "a file of patterns that is not one of a file's";
	if (text[strspn(text, NUMERIC "*?")] != '\0')
		return "DNS";
	return NULL;
}

/* A pattern for an address. */
static void
read_address(struct reader *r, const char *text, struct item *it)
{
	const char *slash = strchr(text, '/'), *what;

	if (same(text, "ALL")) {
		it->kind = ITEM_ANY;
	} else if (*text == '[') {
		it->kind = ITEM_NONE;	/* IPv6: PPTP has none */
	} else if (slash != NULL && slash != text &&
	    strchr(text, '@') == NULL) {
		read_net(r, text, slash, it);
	} else if ((what = needs(text)) != NULL) {
		it->kind = ITEM_NONE;
		say(r, CONF_ERROR, "\"%s\" needs %s, which is not asked "
		    "here: write addresses (192.0.2.7, 192.0.2., "
		    "192.0.2.0/255.255.255.0) or ALL", text, what);
	} else {
		it->kind = strlen(text) < sizeof(it->text) ? ITEM_TEXT :
		    ITEM_NONE;
		snprintf(it->text, sizeof(it->text), "%s", text);
	}
}

static bool
is_our_daemon(const char *pattern)
{
	return same(pattern, "ALL") || same(pattern, "KNOWN") ||
	    same(pattern, HOSTS_DAEMON) || (strpbrk(pattern, "*?") != NULL &&
	    fnmatch(pattern, HOSTS_DAEMON, 0) == 0);
}

/* A pattern for the daemon: "pptpd", "ALL", "pptpd@192.0.2.1". */
static void
read_daemon(struct reader *r, char *text, struct item *it)
{
	char *at = strchr(text + 1, '@');

	it->kind = ITEM_NONE;
	if (at != NULL)
		*at = '\0';
	if (!is_our_daemon(text))
		return;
	if (at == NULL)
		it->kind = ITEM_ANY;
	else
		read_address(r, at + 1, it);
}

typedef void (*read_fn)(struct reader *r, char *text, struct item *it);

static void
read_client(struct reader *r, char *text, struct item *it)
{
	read_address(r, text, it);
}

static bool
add_item(struct reader *r, char *word, read_fn read, struct rule *rule)
{
	struct item *it = realloc(rule->item, (rule->n + 1) * sizeof(*it));

	if (it == NULL) {
		say(r, CONF_ERROR, "out of memory");
		return false;
	}
	rule->item = it;
	it += rule->n++;
	*it = (struct item){ .kind = ITEM_EXCEPT };
	if (read != NULL)
		read(r, word, it);
	return true;
}

/* All of the file, ended by NUL, to be freed.  NULL after a finding; *len is
 * untouched when there is no such file, for which nothing is said. */
static char *
read_text(struct reader *r, const char *name, size_t *len)
{
	const char *why;
	int fd = conf_open(name, &why);
	char *text = fd >= 0 ? conf_read(fd, len) : NULL;
	/* Findings name r's own file anyway. */
	const char *of = name != r->name ? name : "", *blank = *of ? " " : "";

	if (fd < 0) {
		if (errno != ENOENT)
			say(r, CONF_ERROR, "%s%scannot be read: %s", of, blank,
			    why);
		return NULL;
	}
	close(fd);
	if (text != NULL && *len < CONF_FILE_MAX) {
		text[*len] = '\0';
		return text;
	}
	say(r, CONF_ERROR, "%s%scannot be read, or is larger than %u bytes",
	    of, blank, CONF_FILE_MAX);
	free(text);
	return NULL;
}

/* The patterns of a file, any of which may match; libwrap knows no comments
 * there.  False: out of memory. */
static bool
read_patterns(struct reader *r, const char *name, struct rule *rule)
{
	struct reader in = *r;
	size_t len;
	char *text = read_text(r, name, &len), *rest = text, *line, *save;
	bool ok = true;

	if (text == NULL && !r->failed)
		say(r, CONF_WARNING, "there is no file %s: it matches nobody, "
		    "as before", name);
	in.name = name;
	in.line = 0;
	in.reads = false;
	while (ok && (line = strsep(&rest, "\n")) != NULL) {
		in.line++;
		for (char *word = strtok_r(line, WORD_SEPARATORS, &save);
		    ok && word != NULL;
		    word = strtok_r(NULL, WORD_SEPARATORS, &save))
			ok = add_item(&in, word, read_client, rule);
	}
	r->failed = r->failed || in.failed;
	free(text);
	return ok;
}

/* Append the patterns of list to the rule.  False: out of memory. */
static bool
read_list(struct reader *r, char *list, read_fn read, struct rule *rule)
{
	char *save, *word;
	bool ok = true;

	for (word = strtok_r(list, ITEM_SEPARATORS, &save); ok && word != NULL;
	    word = strtok_r(NULL, ITEM_SEPARATORS, &save)) {
		if (*word == '/' && read == read_client && r->reads)
			ok = read_patterns(r, word, rule);
		else
			ok = add_item(r, word, same(word, "EXCEPT") ? NULL :
			    read, rule);
	}
	return ok;
}

/* --- options after the lists (hosts_options(5)) --------------------------- */

static void
read_option(struct reader *r, char *text, struct rule *rule)
{
	static const char *const harmless[] = { "severity", "spawn", "keepalive",
	    "linger", "rfc931", "banners", "nice", "setenv", "umask", "user",
	    "group" };
	char *save, *word = strtok_r(text, " \t\r\n=", &save);

	if (word == NULL)
		return;
	if (same(word, "allow") || same(word, "deny")) {
		rule->allow = same(word, "allow");
		return;
	}
	if (same(word, "twist")) {
		rule->allow = false;
		say(r, CONF_WARNING, "twist runs no program here: the client "
		    "is refused");
		return;
	}
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
		if (!same(word, harmless[i]))
			continue;
		say(r, CONF_WARNING, "option %s does nothing here; who may "
		    "connect is not changed by it", harmless[i]);
		return;
	}
	say(r, CONF_ERROR, "option \"%s\" is not known here: remove it, or "
	    "write allow or deny", word);
}

/* --- rules ----------------------------------------------------------------- */

static bool
fits(const struct item *it, struct in_addr addr, const char *text)
{
	size_t len = strlen(it->text);

	switch (it->kind) {
	case ITEM_ANY:
		return true;
	case ITEM_NET:
		return (addr.s_addr & it->mask) == it->net;
	case ITEM_TEXT:
		if (len > 0 && it->text[len - 1] == '.')
			return strncmp(it->text, text, len) == 0;
		return fnmatch(it->text, text, 0) == 0;
	case ITEM_NONE:
	case ITEM_EXCEPT:
		break;
	}
	return false;
}

/* Do the patterns match?  "a EXCEPT b EXCEPT c" is a but not (b but not c). */
static bool
match(const struct item *it, size_t n, struct in_addr addr)
{
	char text[INET_ADDRSTRLEN];
	bool invert = false, found;

	inet_ntop(AF_INET, &addr, text, sizeof(text));
	for (size_t i = 0;; i++) {
		for (found = false; i < n && it[i].kind != ITEM_EXCEPT; i++)
			found = found || fits(&it[i], addr, text);
		if (!found)
			return invert;
		if (i == n)
			return !invert;
		invert = !invert;
	}
}

/* Can the rule's daemons never mean us, whatever address was called? */
static bool
not_for_us(const struct rule *rule)
{
	struct in_addr any = { .s_addr = INADDR_ANY };

	for (size_t i = 0; i < rule->n_servers; i++)
		if (rule->item[i].kind == ITEM_NET ||
		    rule->item[i].kind == ITEM_TEXT)
			return false;
	return !match(rule->item, rule->n_servers, any);
}

static bool
always(const struct rule *rule)
{
	return rule->n_servers == 1 && rule->n == 2 &&
	    rule->item[0].kind == ITEM_ANY && rule->item[1].kind == ITEM_ANY;
}

static void
keep_rule(struct reader *r, struct rule *rule)
{
	struct hosts *h = r->h;
	struct rule *grown;

	grown = realloc(h->rule, (h->n + 1) * sizeof(*rule));
	if (grown == NULL) {
		say(r, CONF_ERROR, "out of memory");
		free(rule->item);
		return;
	}
	h->rule = grown;
	h->rule[h->n++] = *rule;
	h->decided = always(rule);
}

/* "daemons : clients [: option]...", with its backslashes joined. */
static void
read_rule(struct reader *r, char *line)
{
	struct rule rule = { .name = r->name, .line = r->line,
	    .allow = !r->deny };
	char *rest = line, *daemons = next_field(&rest), *clients;

	if (rest == NULL) {
		say(r, CONF_WARNING, "no \":\" between daemons and clients: "
		    "the line is ignored, as before");
		return;
	}
	clients = next_field(&rest);
	if (!read_list(r, daemons, read_daemon, &rule))
		goto drop;
	rule.n_servers = rule.n;
	/* Other daemons' lines are not ours to judge. */
	if (not_for_us(&rule) || !read_list(r, clients, read_client, &rule))
		goto drop;
	while (rest != NULL)
		read_option(r, next_field(&rest), &rule);
	keep_rule(r, &rule);
	return;
drop:
	free(rule.item);
}

/* --- files ----------------------------------------------------------------- */

/* Take one line out of *text into line, joined with what follows a backslash
 * at its end.  False for comments and blank lines. */
static bool
take_line(struct reader *r, const char **text, const char *end, unsigned *at,
    char *line)
{
	size_t n = 0;
	char c;

	r->line = ++*at;
	while (*text < end && (c = *(*text)++) != '\n') {
		if (c == '\\' && *text < end && **text == '\n') {
			++*text;
			++*at;
		} else {
			line[n++] = c;
		}
	}
	line[n] = '\0';
	return line[0] != '#' && line[strspn(line, " \t\r")] != '\0';
}

static void
parse(struct reader *r, const char *text, size_t len)
{
	const char *end = text + len;
	char *line = malloc(len + 1);
	unsigned at = 0;

	if (line == NULL)
		say(r, CONF_ERROR, "out of memory for %zu bytes", len);
	while (text < end && !r->failed && !r->h->decided)
		if (take_line(r, &text, end, &at, line))
			read_rule(r, line);
	free(line);
}

bool
hosts_parse(struct hosts *h, bool deny, const char *name, const char *text,
    size_t len, conf_report_fn report, void *arg)
{
	struct reader r = { .h = h, .name = name, .deny = deny,
	    .report = report, .arg = arg };

	parse(&r, text, len);
	return !r.failed;
}

bool
hosts_ask(const struct hosts *h, struct in_addr client, struct in_addr server,
    const char **ret_name, unsigned *ret_line)
{
	for (size_t i = 0; i < h->n; i++) {
		const struct rule *rule = &h->rule[i];

		if (!match(rule->item, rule->n_servers, server) ||
		    !match(rule->item + rule->n_servers,
		    rule->n - rule->n_servers, client))
			continue;
		if (!rule->allow) {
			*ret_name = rule->name;
			*ret_line = rule->line;
		}
		return rule->allow;
	}
	return true;
}

struct hosts *
hosts_new(void)
{
	return calloc(1, sizeof(struct hosts));
}

void
hosts_free(struct hosts *h)
{
	for (size_t i = 0; h != NULL && i < h->n; i++)
		free(h->rule[i].item);
	if (h != NULL)
		free(h->rule);
	free(h);
}

bool
hosts_load_file(struct hosts *h, bool deny, const char *name,
    conf_report_fn report, void *arg)
{
	struct reader r = { .h = h, .name = name, .deny = deny,
	    .report = report, .arg = arg, .reads = true };
	size_t len;
	char *text = read_text(&r, name, &len);

	if (text != NULL)
		parse(&r, text, len);
	free(text);
	return !r.failed;
}

bool
hosts_load(struct hosts **ret, conf_report_fn report, void *arg)
{
	struct hosts *h = hosts_new();
	bool ok = h != NULL &&
	    hosts_load_file(h, false, HOSTS_ALLOW, report, arg) &&
	    hosts_load_file(h, true, HOSTS_DENY, report, arg);

	if (ok && h->n > 0) {
		*ret = h;
		return true;
	}
	hosts_free(h);
	return ok;
}
