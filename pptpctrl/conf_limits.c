/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values of the keywords that PoPToP did not have.  A limit that is not what
 * was meant lets strangers in, or nobody: unlike PoPToP's keywords these take
 * no guess.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_impl.h"

#define MAX_NETS	256u
#define ENTRY_MAX	64u

static const char *const session_names[] = {
	[CONF_SESSIONS_ANY] = "off",
	[CONF_SESSIONS_REFUSE] = "refuse",
	[CONF_SESSIONS_REPLACE] = "replace",
};

#define N_SESSIONS	(sizeof(session_names) / sizeof(session_names[0]))

/* Digits and nothing else, at most max. */
static bool
plain_number(const char *text, unsigned long max, unsigned *ret)
{
	unsigned long n = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (unsigned long)(*text - '0');
		if (n > max)
			return false;
	}
	*ret = (unsigned)n;
	return true;
}

bool
conf_set_limit(struct conf_ctx *ctx, const struct conf_kw *kw,
    const char *value)
{
	unsigned n;

	if (!plain_number(value, kw->max, &n) || n < kw->min) {
		conf_say(ctx, CONF_ERROR, "%s \"%s\": write a number from %u "
		    "to %u%s; the default is %s", kw->name, value, kw->min,
		    kw->max, kw->min == 0 ? " (0: no limit)" : "", kw->def);
		return false;
	}
	*(unsigned *)conf_field(ctx->conf, kw->value) = n;
	return true;
}

bool
conf_set_sessions(struct conf_ctx *ctx, const struct conf_kw *kw,
    const char *value)
{
	enum conf_sessions *target = conf_field(ctx->conf, kw->value);

	for (size_t i = 0; i < N_SESSIONS; i++) {
		if (strcmp(session_names[i], value) == 0) {
			*target = (enum conf_sessions)i;
			return true;
		}
	}
	conf_say(ctx, CONF_ERROR, "%s \"%s\": write off, refuse (the new "
	    "call) or replace (the old one)", kw->name, value);
	return false;
}

/* "a.b.c.d" or "a.b.c.d/n"; the text is cut up. */
static bool
parse_net(char *text, struct conf_net *ret)
{
	char *slash = strchr(text, '/');
	struct in_addr addr;
	unsigned bits = 32;

	if (slash != NULL) {
		*slash = '\0';
		if (!plain_number(slash + 1, 32, &bits))
			return false;
	}
	if (inet_pton(AF_INET, text, &addr) != 1)
		return false;
	ret->addr = ntohl(addr.s_addr);
	ret->mask = bits == 0 ? 0 : UINT32_MAX << (32 - bits);
	return true;
}

/* The next entry of a list with commas, without blanks around it, to entry.
 * NULL when there is no more. */
static const char *
next_entry(const char *p, char entry[ENTRY_MAX])
{
	size_t len, n;

	if (p == NULL)
		return NULL;
	p += strspn(p, CONF_BLANKS);
	len = strcspn(p, ",");
	n = len < ENTRY_MAX ? len : ENTRY_MAX - 1;
	memcpy(entry, p, n);
	while (n > 0 && conf_is_blank(entry[n - 1]))
		n--;
	entry[n] = '\0';
	return p + len;
}

bool
conf_set_nets(struct conf_ctx *ctx, const struct conf_kw *kw,
    const char *value)
{
	struct conf_nets *target = conf_field(ctx->conf, kw->value);
	struct conf_net *net = calloc(MAX_NETS, sizeof(*net));
	char entry[ENTRY_MAX], shown[ENTRY_MAX];
	const char *p = value;
	size_t n = 0;

	if (net == NULL) {
		conf_say(ctx, CONF_ERROR, "out of memory at %s", kw->name);
		return false;
	}
	while ((p = next_entry(p, entry)) != NULL) {
		memcpy(shown, entry, sizeof(shown));
		if (n == MAX_NETS || !parse_net(entry, &net[n])) {
			conf_say(ctx, CONF_ERROR, "%s \"%s\": write at most "
			    "%u addresses or networks like 203.0.113.0/24, "
			    "with commas between them", kw->name, shown,
			    MAX_NETS);
			free(net);
			return false;
		}
		if ((net[n].addr & net[n].mask) != net[n].addr)
			conf_say(ctx, CONF_WARNING, "%s \"%s\": bits behind "
			    "the prefix count for nothing; write the "
			    "network's own address", kw->name, shown);
		net[n].addr &= net[n].mask;
		n++;
		p = *p == ',' ? p + 1 : NULL;
	}
	free(target->net);
	*target = (struct conf_nets){ net, n };
	return true;
}

bool
conf_nets_match(const struct conf_nets *nets, struct in_addr addr)
{
	for (size_t i = 0; i < nets->n; i++)
		if ((ntohl(addr.s_addr) & nets->net[i].mask) ==
		    nets->net[i].addr)
			return true;
	return false;
}

static void
nets_text(const struct conf_nets *nets, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < nets->n && at < size; i++) {
		struct in_addr addr = { htonl(nets->net[i].addr) };
		char ip[INET_ADDRSTRLEN];

		at += (size_t)snprintf(buf + at, size - at, "%s%s/%d",
		    i > 0 ? "," : "", conf_ntoa(addr, ip),
		    __builtin_popcount(nets->net[i].mask));
	}
}

const char *
conf_limit(const struct conf *conf, size_t i, char *buf, size_t size,
    enum conf_source *ret_src)
{
	const struct conf_kw *kw = conf_keywords;
	const void *value;

	for (;; kw++) {
		if (kw->name == NULL)
			return NULL;
		if (kw->type != KW_LIMIT && kw->type != KW_SESSIONS &&
		    kw->type != KW_NETS)
			continue;
		if (i-- == 0)
			break;
	}
	value = (const char *)conf + kw->value;
	*ret_src = *(const enum conf_source *)(const void *)
	    ((const char *)conf + kw->src);
	if (kw->type == KW_LIMIT)
		snprintf(buf, size, "%u", *(const unsigned *)value);
	else if (kw->type == KW_SESSIONS)
		snprintf(buf, size, "%s",
		    session_names[*(const enum conf_sessions *)value]);
	else
		nets_text(value, buf, size);
	return kw->name;
}
