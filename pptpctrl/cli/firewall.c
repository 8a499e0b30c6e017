/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/firewall.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORDS	64
#define MAX_DEPTH	16	/* chains that jump to chains */
#define LINE_SIZE	1024

/* Does a rule's match fit the packet? */
enum fit { NO, YES, MAYBE };

struct walk {
	const char *save;	/* the filter table */
	enum fw_packet packet;
	bool unsure;		/* a rule may have let it in before */
	bool related;
	char *rule;
};

/* The line at p without its end; what follows it, or NULL after the last. */
static const char *
next_line(const char *p, char line[LINE_SIZE])
{
	size_t n = strcspn(p, "\n");

	if (*p == '\0')
		return NULL;
	snprintf(line, LINE_SIZE, "%.*s", (int)(n < LINE_SIZE ? n :
	    LINE_SIZE - 1), p);
	return p + n + (p[n] == '\n');
}

/* Cut line at blanks, a quoted text counting as one word. */
static int
cut_words(char *line, char *word[MAX_WORDS])
{
	int n = 0;

	while (n < MAX_WORDS) {
		line += strspn(line, " \t");
		if (*line == '\0')
			break;
		if (*line == '"') {
			word[n++] = ++line;
			while (*line != '\0' && *line != '"')
				line += *line == '\\' && line[1] != '\0' ?
				    2 : 1;
		} else {
			word[n++] = line;
			line += strcspn(line, " \t");
		}
		if (*line != '\0')
			*line++ = '\0';
	}
	return n;
}

static enum fit
fits_protocol(enum fw_packet packet, const char *name)
{
	const char *own = packet == FW_GRE ? "gre" : "tcp";
	const char *number = packet == FW_GRE ? "47" : "6";

	return strcmp(name, "all") == 0 || strcmp(name, "0") == 0 ||
	    strcmp(name, own) == 0 || strcmp(name, number) == 0 ? YES : NO;
}

/* "22,1723,4000:5000" */
static enum fit
fits_ports(enum fw_packet packet, const char *list)
{
	if (packet != FW_CONTROL)
		return NO;
	for (const char *p = list; p != NULL; p = strchr(p, ',')) {
		char *end;
		unsigned long from, to;

		p += *p == ',';
		if (strncmp(p, "pptp", 4) == 0)
			return YES;
		from = to = strtoul(p, &end, 10);
		if (*end == ':' || *end == '-')
			to = end[1] >= '0' && end[1] <= '9' ?
			    strtoul(end + 1, NULL, 10) : 65535;
		if (from <= 1723 && to >= 1723)
			return YES;
	}
	return NO;
}

static enum fit
fits_state(struct walk *w, const char *states)
{
	if (strstr(states, "NEW") != NULL)
		return YES;
	if (w->packet == FW_GRE && strstr(states, "RELATED") != NULL)
		w->related = true;
	return NO;
}

static enum fit
fits_interface(const char *name)
{
	return strcmp(name, "lo") == 0 ? NO : MAYBE;
}

/* One option of a rule with its value. */
static enum fit
fits_option(struct walk *w, const char *opt, const char *value)
{
	if (strcmp(opt, "-p") == 0)
		return fits_protocol(w->packet, value);
	if (strcmp(opt, "--dport") == 0 || strcmp(opt, "--dports") == 0 ||
	    strcmp(opt, "--ports") == 0)
		return fits_ports(w->packet, value);
	if (strcmp(opt, "--state") == 0 || strcmp(opt, "--ctstate") == 0)
		return fits_state(w, value);
	if (strcmp(opt, "-i") == 0)
		return fits_interface(value);
	if (strcmp(opt, "-m") == 0 || strcmp(opt, "--comment") == 0)
		return YES;	/* what the module wants comes as options */
	return MAYBE;
}

/* All of a rule's matches, word[2..n): "-A CHAIN" went before.  Ends at the
 * target, which is ret_target, or "". */
static enum fit
fits_rule(struct walk *w, char **word, int n, const char **ret_target)
{
	enum fit fit = YES, one;

	*ret_target = "";
	for (int i = 2; i + 1 < n; i += 2) {
		bool not = strcmp(word[i], "!") == 0;

		if (not && ++i + 1 >= n)
			break;
		if (strcmp(word[i], "-j") == 0 || strcmp(word[i], "-g") == 0) {
			*ret_target = word[i + 1];
			break;
		}
		one = fits_option(w, word[i], word[i + 1]);
		if (not && one != MAYBE)
			one = one == YES ? NO : YES;
		if (one == NO)
			fit = NO;
		else if (one == MAYBE && fit == YES)
			fit = MAYBE;
	}
	return fit;
}

static bool
has_chain(const char *save, const char *name)
{
	char line[LINE_SIZE], head[128];
	int n = snprintf(head, sizeof(head), ":%s ", name);

	while ((save = next_line(save, line)) != NULL)
		if (strncmp(line, head, (size_t)n) == 0)
			return true;
	return false;
}

/* The chain's verdict; FW_UNSURE where it ends without one. */
static enum fw_verdict
walk_chain(struct walk *w, const char *chain, int depth)
{
	char line[LINE_SIZE], text[LINE_SIZE], *word[MAX_WORDS];
	const char *p = w->save, *target;
	enum fw_verdict v;
	enum fit fit;

	while ((p = next_line(p, line)) != NULL) {
		int n;

		memcpy(text, line, sizeof(text));
		n = cut_words(line, word);
		if (n < 4 || strcmp(word[0], "-A") != 0 ||
		    strcmp(word[1], chain) != 0)
			continue;
		fit = fits_rule(w, word, n, &target);
		if (fit == NO)
			continue;
		if (strcmp(target, "ACCEPT") == 0) {
			if (fit == YES)
				return FW_PASSES;
			w->unsure = true;
		} else if (strcmp(target, "DROP") == 0 ||
		    strcmp(target, "REJECT") == 0) {
			if (fit == YES) {
				snprintf(w->rule, FW_RULE_MAX, "%.*s",
				    FW_RULE_MAX - 1, text);
				return FW_DROPS;
			}
		} else if (strcmp(target, "RETURN") == 0) {
			if (fit == YES)
				return FW_UNSURE;
			w->unsure = true;
		} else if (has_chain(w->save, target) && depth < MAX_DEPTH) {
			v = walk_chain(w, target, depth + 1);
			if (v != FW_UNSURE && fit == YES)
				return v;
			if (v == FW_PASSES)
				w->unsure = true;
		}
	}
	return FW_UNSURE;
}

enum fw_verdict
fw_iptables(const char *save, enum fw_packet packet,
    char rule[static FW_RULE_MAX], int *ret_related)
{
	struct walk w = { .packet = packet };
	const char *filter = strstr(save, "*filter\n");
	char text[FW_RULE_MAX];
	enum fw_verdict v;

	if (filter == NULL || strstr(filter, ":INPUT ") == NULL)
		return FW_PASSES;
	w.save = filter;
	w.rule = text;
	v = walk_chain(&w, "INPUT", 0);
	if (v == FW_UNSURE) {
		bool drops = strncmp(strstr(filter, ":INPUT "),
		    ":INPUT DROP", 11) == 0;

		v = drops ? FW_DROPS : FW_PASSES;
		snprintf(text, sizeof(text), "policy DROP of chain INPUT");
	}
	if (v == FW_DROPS && w.unsure)
		return FW_UNSURE;
	if (v == FW_DROPS) {
		memcpy(rule, text, sizeof(text));
		*ret_related = w.related;
	}
	return v;
}

/* --- nft ---------------------------------------------------------------- */

static bool
ends_with(const char *line, const char *word)
{
	size_t n = strlen(line), k = strlen(word);

	while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'))
		n--;
	return n >= k && strncmp(line + n - k, word, k) == 0 &&
	    (n == k || line[n - k - 1] == ' ' || line[n - k - 1] == '\t');
}

static bool
names_packet(const char *line, enum fw_packet packet)
{
	if (packet == FW_CONTROL)
		return strstr(line, "dport 1723") != NULL ||
		    strstr(line, "dport pptp") != NULL;
	return strstr(line, "protocol gre") != NULL ||
	    strstr(line, "l4proto gre") != NULL ||
	    strstr(line, "protocol 47") != NULL ||
	    strstr(line, "l4proto 47") != NULL;
}

/* A rule that certainly says nothing about a client's first packets. */
static bool
elsewhere(const char *line, enum fw_packet packet)
{
	if (strstr(line, "iif \"lo\"") != NULL ||
	    strstr(line, "iifname \"lo\"") != NULL)
		return true;
	if (strstr(line, "ct state ") != NULL)
		return strstr(line, "new") == NULL;
	if (strstr(line, "icmp") != NULL || strstr(line, "udp ") != NULL)
		return true;
	if (packet == FW_GRE)
		return strstr(line, "tcp ") != NULL;
	/* Another port alone; sets and ranges are not looked into. */
	return strstr(line, "tcp dport ") != NULL &&
	    strpbrk(strstr(line, "tcp dport ") + 10, "-{@!") == NULL &&
	    !names_packet(line, packet);
}

/* One line of a chain that hooks input.  FW_UNSURE: go on. */
static enum fw_verdict
judge_nft_rule(const char *line, enum fw_packet packet, bool *unsure)
{
	bool names = names_packet(line, packet);
	bool bare = strcspn(line + strspn(line, " \t"), " ") ==
	    strlen(line + strspn(line, " \t"));

	if (elsewhere(line, packet))
		return FW_UNSURE;
	if ((names || bare) && ends_with(line, "accept"))
		return FW_PASSES;
	if ((names || bare) && (ends_with(line, "drop") ||
	    strstr(line, "reject") != NULL) && !*unsure)
		return FW_DROPS;
	if (ends_with(line, "accept") || strstr(line, "jump ") != NULL ||
	    strstr(line, "goto ") != NULL || strstr(line, "vmap ") != NULL)
		*unsure = true;
	return FW_UNSURE;
}

enum fw_verdict
fw_nft(const char *ruleset, enum fw_packet packet,
    char rule[static FW_RULE_MAX])
{
	char line[LINE_SIZE], name[128] = "";
	bool input = false, policy = false, unsure = false;
	enum fw_verdict v;

	while ((ruleset = next_line(ruleset, line)) != NULL) {
		const char *text = line + strspn(line, " \t");

		if (strncmp(text, "chain ", 6) == 0) {
			snprintf(name, sizeof(name), "%.*s",
			    (int)strcspn(text, "{"), text);
			input = policy = unsure = false;
		} else if (strstr(text, "hook input") != NULL) {
			input = strncmp(text, "type filter", 11) == 0;
			policy = strstr(text, "policy drop") != NULL;
		} else if (input && *text == '}') {
			if (policy && !unsure) {
				snprintf(rule, FW_RULE_MAX, "policy drop of "
				    "%s", name);
				return FW_DROPS;
			}
			input = false;
		} else if (input) {
			v = judge_nft_rule(text, packet, &unsure);
			if (v == FW_DROPS) {
				snprintf(rule, FW_RULE_MAX, "%.*s",
				    FW_RULE_MAX - 1, text);
				return FW_DROPS;
			}
			input = v != FW_PASSES;
		}
	}
	return FW_PASSES;
}
