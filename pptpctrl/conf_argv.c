/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_impl.h"

#ifndef VERSION
#define VERSION		"0.1.0"
#endif

/* PoPToP's options that are no keywords, and one of ours: without "v" the
 * prefix --v, which was --version, would be ambiguous because of --vrf. */
static const struct { const char *name; char opt; bool arg; } others[] = {
	{ "conf", 'c', true },
	{ "fg", 'f', false },
	{ "help", 'h', false },
	{ "version", 'v', false },
	{ "v", 'v', false },
};

#define N_OTHERS	(sizeof(others) / sizeof(others[0]))

/* The text of -h, made from the table. */
static const char *
usage(void)
{
	static char text[4096];
	size_t n = 0;
	char left[64];

	n += (size_t)snprintf(text + n, sizeof(text) - n,
	    "\npptpd v%s (pptpctrl)\n"
	    "Usage: pptpd [options], where options are:\n\n"
	    " -c, --conf FILE         configuration file, default %s\n"
	    " -f, --fg                stay in the foreground\n"
	    " -h, --help              show this text\n"
	    " -v, --version           show the version\n",
	    VERSION, CONF_DEFAULT_FILE);
	for (size_t i = 0; conf_keywords[i].name != NULL &&
	    n < sizeof(text); i++) {
		const struct conf_kw *kw = &conf_keywords[i];

		if (kw->opt == 0)
			continue;
		snprintf(left, sizeof(left), "-%c, --%s%s%s", kw->opt, kw->name,
		    kw->arg ? " " : "", kw->arg ? kw->arg : "");
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    " %-23s %s%s%s\n", left, kw->doc,
		    kw->def ? ", default " : "", kw->def ? kw->def : "");
	}
	if (n < sizeof(text))
		snprintf(text + n, sizeof(text) - n,
		    "\nThe command line beats the file.  More in pptpd(8) and "
		    "pptpd.conf(5).\n");
	return text;
}

/* The command line, as getopt_long wants it. */
struct options {
	char shorts[2 * (N_OTHERS + CONF_MAX_KEYWORDS) + 1];
	struct option longs[N_OTHERS + CONF_MAX_KEYWORDS + 1];
	char opt[N_OTHERS + CONF_MAX_KEYWORDS];	/* short option of longs[i] */
	size_t n;
	char *end;		/* of shorts */
};

/* PoPToP gave all long options the value 0.  To glibc such options are the
 * same, so that a prefix of several means the first: --con is --conf, --de
 * is --debug, --p is --ppp.  So do we, with PoPToP's order. */
static void
add_option(struct options *o, const char *name, char opt, bool arg)
{
	o->longs[o->n] = (struct option){ name,
	    arg ? required_argument : no_argument, NULL, 0 };
	o->opt[o->n++] = opt;
	*o->end++ = opt;
	if (arg)
		*o->end++ = ':';
}

static void
make_options(struct options *o)
{
	*o = (struct options){ .n = 0 };
	o->end = o->shorts;
	for (size_t i = 0; i < N_OTHERS; i++)
		add_option(o, others[i].name, others[i].opt, others[i].arg);
	for (size_t i = 0; conf_keywords[i].name != NULL; i++)
		if (conf_keywords[i].opt != 0)
			add_option(o, conf_keywords[i].name,
			    conf_keywords[i].opt, conf_keywords[i].arg != NULL);
}

/* One option that getopt_long understood. */
static void
take_option(struct conf_ctx *ctx, int opt, enum conf_action *ret_action,
    const char **ret_text)
{
	char *copy;

	switch (opt) {
	case 'c':
		if ((copy = strdup(optarg)) == NULL) {
			conf_say(ctx, CONF_ERROR, "out of memory at -c");
			break;
		}
		free(ctx->conf->file);
		ctx->conf->file = copy;
		break;
	case 'f':
		ctx->conf->foreground = true;
		break;
	case 'h':
		*ret_action = CONF_EXIT_OK;
		*ret_text = usage();
		break;
	case 'v':
		*ret_action = CONF_EXIT_OK;
		*ret_text = "pptpd v" VERSION " (pptpctrl)\n";
		break;
	default:
		for (size_t i = 0; conf_keywords[i].name != NULL; i++)
			if (conf_keywords[i].opt == (char)opt) {
				conf_set(ctx, &conf_keywords[i], optarg);
				return;
			}
		*ret_action = CONF_EXIT_USAGE;
		*ret_text = usage();
		break;
	}
}

bool
conf_argv(struct conf *conf, int argc, char **argv, conf_report_fn report,
    void *arg, enum conf_action *ret_action, const char **ret_text)
{
	struct conf_ctx ctx = { .conf = conf, .name = "command line",
	    .from = CONF_FROM_ARGV, .report = report, .arg = arg };
	struct options o;
	int opt, at = 0;

	make_options(&o);
	*ret_action = CONF_RUN;
	optind = 0;		/* glibc and musl: start anew */
	while (!ctx.failed && *ret_action == CONF_RUN &&
	    (opt = getopt_long(argc, argv, o.shorts, o.longs, &at)) != -1)
		take_option(&ctx, opt == 0 ? o.opt[at] : opt, ret_action,
		    ret_text);
	if (!ctx.failed && *ret_action == CONF_RUN && optind < argc)
		conf_say(&ctx, CONF_WARNING,
		    "\"%s\" is no option and is ignored, "
		    "as PoPToP did", argv[optind]);
	return !ctx.failed;
}
