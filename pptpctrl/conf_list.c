/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_impl.h"

#define MAX_SEGMENT	128u	/* one entry of a list, PoPToP's buffer */

struct entry {
	struct in_addr addr;
	uint64_t text;		/* hash of how it was written */
};

/* One list while it is read. */
struct list {
	struct conf_ctx *ctx;
	const struct conf_kw *kw;
	const char *kind;	/* PoPToP's word for it in its messages */
	bool unique;		/* no address twice */
	bool loud;		/* the reading that counts: report */
	bool extended;		/* our grammar, not PoPToP's */
	bool full;		/* there were more than limit */
	bool last;		/* the entry at hand ends the list */
	size_t limit, n;
	struct entry *entry;	/* limit of them */
	uint32_t *table;	/* hash table by address: index + 1 of entry */
	size_t table_mask;
};

enum verdict { NEXT, FULL, BAD };

/* Report something; the answer is BAD for an error, else NEXT. */
static enum verdict __attribute__((format(printf, 3, 4)))
list_say(struct list *l, enum conf_severity severity, const char *fmt, ...)
{
	va_list ap;

	if (l->loud) {
		va_start(ap, fmt);
		conf_vsay(l->ctx, severity, fmt, ap);
		va_end(ap);
	}
	return severity == CONF_ERROR ? BAD : NEXT;
}

static uint64_t
hash_text(const char *s)
{
	uint64_t h = 0xcbf29ce484222325u;	/* FNV-1a */

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	return h;
}

/* Where addr is in the table, or the free place where it belongs. */
static uint32_t *
list_place(const struct list *l, struct in_addr addr)
{
	size_t i = (size_t)(addr.s_addr * 2654435761u) & l->table_mask;

	while (l->table[i] != 0 &&
	    l->entry[l->table[i] - 1].addr.s_addr != addr.s_addr)
		i = (i + 1) & l->table_mask;
	return &l->table[i];
}

static enum verdict
list_add(struct list *l, struct in_addr addr, const char *text)
{
	uint64_t hash = hash_text(text);
	uint32_t *place;
	char plain[INET_ADDRSTRLEN];

	if (l->n == l->limit) {
		l->full = true;
		return FULL;
	}
	place = list_place(l, addr);
	/* PoPToP compared what was written.  Where it let the same address
	 * through in two spellings, two calls shared it. */
	if (l->unique && *place != 0 && l->entry[*place - 1].text == hash)
		return list_say(l, CONF_ERROR, "MGR: Remote IP address %s in "
		    "config is a duplicate! Remove one of the two", text);
	if (l->unique && *place != 0)
		return list_say(l, CONF_WARNING, "%s \"%s\" is %s, which is in "
		    "the list already: left out", l->kw->name, text,
		    conf_ntoa(addr, plain));
	if (*place == 0)
		*place = (uint32_t)l->n + 1;
	l->entry[l->n++] = (struct entry){ addr, hash };
	return NEXT;
}

/* text is the address that is none, entry what the list has for it. */
static enum verdict
bad_address(struct list *l, const char *text, const char *entry)
{
	const char *hint = "write addresses, ranges like 192.168.0.10-20, "
	    "networks or names that resolve, with commas between them";

	if (*text == '\0')
		hint = "an entry is empty; remove the comma before or after "
		    "it, or give the list a value";
	else if (*text == '=')
		hint = "a blank separates keyword and value, no =";
	else if (text != entry)
		hint = "no number may be above 255";
	return list_say(l, CONF_ERROR, "MGR: Bad IP address (%s) in config "
	    "file! %s \"%s\": %s", text, l->kw->name, entry, hint);
}

static enum verdict
bad_range(struct list *l, const char *text, const char *hint)
{
	return list_say(l, CONF_ERROR, "MGR: Bad %s IP range: %s: %s", l->kind,
	    text, hint);
}

static enum verdict
add_host(struct list *l, const char *text)
{
	struct in_addr addr;
	char plain[INET_ADDRSTRLEN];
	const char *tail;

	if (!conf_lookup(text, &addr))
		return bad_address(l, text, text);
	if (l->loud)
		conf_note_odd_address(l->ctx, l->kw, text, addr, l->last &&
		    (tail = strchr(text, '#')) != NULL &&
		    conf_is_blank(tail[-1]));
	if (conf_may_be_name(text) && inet_addr(text) == INADDR_NONE)
		list_say(l, CONF_NOTICE, "%s \"%s\" is %s, looked up now and "
		    "not again", l->kw->name, text, conf_ntoa(addr, plain));
	return list_add(l, addr, text);
}

/* The form of PoPToP's ranges: 192.168.0.10-20, 10.1-9.0.1. */
static bool
is_octet_range(const char *s)
{
	unsigned dots = 0, dashes = 0;

	if (s[strspn(s, "0123456789.-")] != '\0')
		return false;
	for (; *s != '\0'; s++) {
		dots += *s == '.';
		dashes += *s == '-';
	}
	return dots == 3 && dashes == 1;
}

/* Up to max characters that are not sep, after any that are: what scanf's
 * %7s and %3s took from PoPToP's text.  Returns what follows, or NULL. */
static const char *
take_word(const char *s, char sep, char *out, size_t max)
{
	size_t n = 0;

	while (*s == sep)
		s++;
	while (n < max && *s != '\0' && *s != sep)
		out[n++] = *s++;
	out[n] = '\0';
	return n > 0 ? s : NULL;
}

/* Four words out of text, the dash's bounds out of one of them.  False where
 * PoPToP went on with what was on its stack. */
static bool
split_octets(const char *s, char oct[4][8], int *ret_dash, int *ret_lo,
    int *ret_hi)
{
	char lo[4], hi[4];
	const char *p;

	for (int i = 0; i < 4; i++)
		if ((s = take_word(s, '.', oct[i], 7)) == NULL)
			return false;
	*ret_dash = 3;
	while (*ret_dash >= 0 && strchr(oct[*ret_dash], '-') == NULL)
		(*ret_dash)--;
	if (*ret_dash < 0)
		return true;
	if ((p = take_word(oct[*ret_dash], '-', lo, 3)) == NULL ||
	    take_word(p, '-', hi, 3) == NULL)
		return false;
	*ret_lo = atoi(lo);
	*ret_hi = atoi(hi);
	return true;
}

static void
join_octets(char out[static 32], char oct[4][8], int dash, const char *with)
{
	const char *p[4] = { oct[0], oct[1], oct[2], oct[3] };

	p[dash] = with;
	/* Three digits count, as in PoPToP; with is ours and whole. */
	snprintf(out, 32, "%.*s.%.*s.%.*s.%.*s",
	    dash == 0 ? 7 : 3, p[0], dash == 1 ? 7 : 3, p[1],
	    dash == 2 ? 7 : 3, p[2], dash == 3 ? 7 : 3, p[3]);
}

/* Say how text is read where it is not read as it looks. */
static void
note_odd_range(struct list *l, const char *text, char oct[4][8], int dash,
    int lo, int hi)
{
	char bounds[16], first[32], last[32], whole[32];
	char plain_first[INET_ADDRSTRLEN], plain_last[INET_ADDRSTRLEN];
	struct in_addr a, b;

	snprintf(bounds, sizeof(bounds), "%d-%d", lo, hi);
	join_octets(whole, oct, dash, bounds);
	snprintf(bounds, sizeof(bounds), "%d", lo);
	join_octets(first, oct, dash, bounds);
	snprintf(bounds, sizeof(bounds), "%d", hi);
	join_octets(last, oct, dash, bounds);
	/* The last may be no address when the limit comes before it. */
	if (inet_aton(first, &a) == 0 || inet_aton(last, &b) == 0)
		return;
	if (strcmp(whole, text) == 0 &&
	    strcmp(conf_ntoa(a, plain_first), first) == 0)
		return;
	list_say(l, CONF_WARNING, "%s \"%s\" is read as %s to %s, as PoPToP "
	    "did; write plain numbers", l->kw->name, text,
	    conf_ntoa(a, plain_first), conf_ntoa(b, plain_last));
}

static enum verdict
add_octet_range(struct list *l, const char *text)
{
	char oct[4][8], one[32], number[8];
	int dash, lo, hi;
	struct in_addr addr;
	enum verdict v;

	if (!split_octets(text, oct, &dash, &lo, &hi))
		return bad_range(l, text, "a number is missing; write it like "
		    "192.168.0.10-20");
	if (dash < 0)
		return list_say(l, CONF_WARNING, "%s \"%s\" is ignored, as "
		    "PoPToP did: a number in it is too long", l->kw->name,
		    text);
	if (hi < lo)
		return bad_range(l, text, "it ends before it starts; the end "
		    "has no short form, 192.168.0.234-238 is not 234-8");
	note_odd_range(l, text, oct, dash, lo, hi);
	for (int n = lo; n <= hi; n++) {
		snprintf(number, sizeof(number), "%d", n);
		join_octets(one, oct, dash, number);
		addr.s_addr = inet_addr(one);
		if (addr.s_addr == INADDR_NONE)
			return bad_address(l, one, text);
		if ((v = list_add(l, addr, one)) != NEXT)
			return v;
	}
	return NEXT;
}

/* first to last in host order, both included. */
static enum verdict
add_span(struct list *l, uint32_t first, uint32_t last)
{
	char plain[INET_ADDRSTRLEN];
	struct in_addr addr;
	enum verdict v;

	for (uint64_t a = first; a <= last; a++) {
		addr.s_addr = htonl((uint32_t)a);
		v = list_add(l, addr, conf_ntoa(addr, plain));
		if (v != NEXT)
			return v;
	}
	return NEXT;
}

/* Ours: A-B with two whole addresses. */
static enum verdict
add_full_range(struct list *l, const char *text)
{
	char first[MAX_SEGMENT];
	const char *dash = strchr(text, '-');
	struct in_addr a, b;

	snprintf(first, sizeof(first), "%.*s", (int)(dash - text), text);
	if (inet_pton(AF_INET, first, &a) != 1 ||
	    inet_pton(AF_INET, dash + 1, &b) != 1)
		return bad_address(l, text, text);
	if (ntohl(b.s_addr) < ntohl(a.s_addr))
		return bad_range(l, text, "it ends before it starts");
	return add_span(l, ntohl(a.s_addr), ntohl(b.s_addr));
}

/* Ours: ADDRESS/PREFIX, without the network's own and broadcast address. */
static enum verdict
add_network(struct list *l, const char *text)
{
	char base[MAX_SEGMENT], plain[INET_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	struct in_addr addr;
	uint32_t first, host;
	bool clean;
	long bits = conf_to_number(slash + 1, &clean);

	snprintf(base, sizeof(base), "%.*s", (int)(slash - text), text);
	if (inet_pton(AF_INET, base, &addr) != 1 || !clean || bits < 0 ||
	    bits > 32 || slash[1] < '0' || slash[1] > '9')
		return bad_address(l, text, text);
	host = bits == 0 ? UINT32_MAX : (1u << (32 - bits)) - 1;
	first = ntohl(addr.s_addr);
	/* 192.168.0.1/24 may mean an address or all of its network. */
	if ((first & host) != 0) {
		addr.s_addr = htonl(first & ~host);
		return list_say(l, CONF_ERROR, "%s \"%s\" is no network: "
		    "write %s/%ld for the network, or %s for the one address",
		    l->kw->name, text, conf_ntoa(addr, plain), bits, base);
	}
	if (bits <= 30)
		return add_span(l, first + 1, (first | host) - 1);
	return add_span(l, first, first | host);
}

static enum verdict
add_segment(struct list *l, const char *text)
{
	if (is_octet_range(text))
		return add_octet_range(l, text);
	if (l->extended && strchr(text, '/') != NULL)
		return add_network(l, text);
	if (l->extended && strchr(text, '-') != NULL &&
	    text[strspn(text, "0123456789.-")] == '\0')
		return add_full_range(l, text);
	return add_host(l, text);
}

/* Read one grammar's meaning of value into l.  False: refused. */
static bool
read_list(struct list *l, const char *value)
{
	char text[MAX_SEGMENT];
	enum verdict v = NEXT;

	l->n = 0;
	l->full = false;
	memset(l->table, 0, (l->table_mask + 1) * sizeof(l->table[0]));
	while (v == NEXT && value != NULL) {
		const char *comma = strchr(value, ',');
		size_t len = comma ? (size_t)(comma - value) : strlen(value);
		size_t skip = l->extended ? strspn(value, CONF_BLANKS) : 0;

		if (skip > len)
			skip = len;
		/* Cut like PoPToP's, which had room for no more. */
		snprintf(text, sizeof(text), "%.*s", (int)(len - skip),
		    value + skip);
		if (l->extended)
			conf_cut_comment(text);	/* its blanks; # went before */
		l->last = comma == NULL;
		v = add_segment(l, text);
		value = comma ? comma + 1 : NULL;
	}
	return v != BAD;
}

static bool
has_address(struct list *l)
{
	return l->n > 0 || list_say(l, CONF_ERROR, "%s has no address: give "
	    "one", l->kw->name) == NEXT;
}

/* value by PoPToP's grammar or, where that refuses it, by ours. */
static bool
fill_list(struct list *l, const char *value)
{
	char *copy;
	bool ok;

	l->loud = l->extended = false;
	ok = read_list(l, value);
	l->loud = true;
	if (ok)
		return read_list(l, value);
	if ((copy = strdup(value)) == NULL) {
		list_say(l, CONF_ERROR, "out of memory at %s", l->kw->name);
		return false;
	}
	l->extended = true;
	conf_cut_comment(copy);
	ok = read_list(l, copy);
	free(copy);
	return ok;
}

static bool
list_init(struct list *l, struct conf_ctx *ctx, bool remote, size_t limit)
{
	size_t size = 16;

	while (size < 2 * limit)
		size *= 2;
	*l = (struct list){
		.ctx = ctx,
		.kw = conf_kw_of(remote ? offsetof(struct conf, remote) :
		    offsetof(struct conf, local)),
		.kind = remote ? "remote" : "local",
		.unique = remote,
		.limit = limit,
		.entry = calloc(limit, sizeof(*l->entry)),
		.table = calloc(size, sizeof(*l->table)),
		.table_mask = size - 1,
	};
	if (l->entry != NULL && l->table != NULL)
		return true;
	conf_say(ctx, CONF_ERROR, "out of memory at %s", l->kw->name);
	return false;
}

static void
list_free(struct list *l)
{
	free(l->entry);
	free(l->table);
}

/* The first n of l as an array that the caller frees. */
static struct in_addr *
list_addresses(const struct list *l, size_t n)
{
	struct in_addr *a = calloc(n, sizeof(*a));

	for (size_t i = 0; a != NULL && i < n; i++)
		a[i] = l->entry[i].addr;
	return a;
}

/* --- both lists: the pool --- */

/* What pppd will refuse when a call comes, said now. */
static void
warn_unusable(struct conf_ctx *ctx, const struct list *l)
{
	char plain[INET_ADDRSTRLEN];

	for (size_t i = 0; i < l->n; i++) {
		uint32_t a = ntohl(l->entry[i].addr.s_addr);

		if (a >> 24 != 0 && a >> 24 != 127 && a >> 28 < 0xe)
			continue;
		conf_say(ctx, CONF_WARNING,
		    "%s %s: pppd refuses this address and "
		    "ends the call; remove it", l->kw->name,
		    conf_ntoa(l->entry[i].addr, plain));
		return;
	}
}

static bool
apply_default_list(struct conf_ctx *ctx, struct list *l)
{
	ctx->line = 0;
	conf_say(ctx, CONF_WARNING,
	    "no %s: PoPToP's default %s is used, whatever "
	    "network that is here; give %s", l->kw->name, l->kw->def,
	    l->kw->name);
	return fill_list(l, l->kw->def);
}

/* The addresses of one keyword.  False: refused. */
static bool
apply_list(struct conf_ctx *ctx, struct list *l, const struct conf_found *f)
{
	bool ok;

	if (f->line == 0)
		return apply_default_list(ctx, l);
	ctx->line = f->line;
	ctx->lenient = f->extension;
	ctx->many = true;
	ok = fill_list(l, f->value) && has_address(l);
	ctx->lenient = ctx->many = false;
	if (!ok)
		return f->extension && apply_default_list(ctx, l);
	if (l->full)
		conf_say(ctx, CONF_WARNING,
		    "MGR: connections limit (%zu) reached, "
		    "extra IP addresses ignored", l->limit);
	warn_unusable(ctx, l);
	*(enum conf_source *)conf_field(ctx->conf, l->kw->src) = CONF_FROM_FILE;
	return true;
}

static void
warn_both_ends(struct conf_ctx *ctx, const struct list *remote,
    const struct list *local)
{
	char plain[INET_ADDRSTRLEN];

	for (size_t i = 0; i < local->n; i++) {
		if (*list_place(remote, local->entry[i].addr) == 0)
			continue;
		conf_say(ctx, CONF_WARNING,
		    "%s is in localip and in remoteip: a "
		    "client cannot have the server's address; remove it from "
		    "one of them", conf_ntoa(local->entry[i].addr, plain));
		return;
	}
}

/* PoPToP's words for a list that is too short. */
static void
reduce(struct conf_ctx *ctx, enum conf_severity severity, size_t to)
{
	if (to >= ctx->conf->connections)
		return;
	conf_say(ctx, severity,
	    "MGR: Maximum of %u connections reduced to %zu, "
	    "not enough IP addresses given", ctx->conf->connections, to);
	ctx->conf->connections = (unsigned)to;
}

void
conf_make_pool(struct conf_ctx *ctx, const struct conf_found *f_local,
    const struct conf_found *f_remote)
{
	struct conf *conf = ctx->conf;
	struct list remote = { .n = 0 }, local = { .n = 0 };
	bool ok;

	/* Remote first: its length is the limit for the other. */
	ok = list_init(&remote, ctx, true, conf->connections) &&
	    apply_list(ctx, &remote, f_remote);
	if (ok)
		reduce(ctx, CONF_NOTICE, remote.n);
	/* After a failure still read the other, to report all at once. */
	ok = list_init(&local, ctx, false, conf->connections) &&
	    apply_list(ctx, &local, f_local) && ok;
	if (ok) {
		if (local.n > 1)
			reduce(ctx, CONF_WARNING, local.n);
		warn_both_ends(ctx, &remote, &local);
		conf->n_remote = conf->connections;
		conf->n_local = local.n;
		conf->remote = list_addresses(&remote, conf->n_remote);
		conf->local = list_addresses(&local, conf->n_local);
		if (conf->remote == NULL || conf->local == NULL)
			conf_say(ctx, CONF_ERROR,
			    "out of memory for the addresses");
	}
	list_free(&remote);
	list_free(&local);
}

void
conf_apply_delegate(struct conf_ctx *ctx, const struct conf_found *f_local,
    const struct conf_found *f_remote)
{
	const struct conf_kw *kw = conf_kw_of(offsetof(struct conf,
	    connections));

	ctx->line = f_remote->line ? f_remote->line : f_local->line;
	if (ctx->line != 0)
		conf_say(ctx, CONF_NOTICE,
		    "localip and remoteip are ignored: with "
		    "delegate, pppd chooses the addresses");
	ctx->line = 0;
	/* PoPToP never counted here, and sites with thousands of RADIUS
	 * users have no "connections" in their file. */
	if (conf_is_set(kw, ctx, CONF_FROM_DEFAULT)) {
		ctx->conf->connections = CONF_MAX_CONNECTIONS;
		conf_say(ctx, CONF_NOTICE,
		    "delegate without connections: no limit, "
		    "as in PoPToP; connections N would be kept here");
	}
}
