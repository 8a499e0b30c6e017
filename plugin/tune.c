/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a PPTP call asks of pppd's other options, set after everything was
 * read and before anything starts.
 */
#include <netinet/in.h>
#include <stdlib.h>

#include "plugin.h"

/*
 * Leaves room for IP, GRE, PPP and MPPE (44 bytes), and for the PPPoE or
 * NAT64 that may be in the path.  Windows uses the same.
 */
#define MTU_DEFAULT	1400
/*
 * pppd before 2.5.3 sends up to the peer's MRU out of a buffer made for
 * 1500; a peer that asks for more writes behind it, unauthenticated.
 */
#define MTU_MAX		1500

static char client[INET_ADDRSTRLEN];

void
pptp_client_set(const char *addr)
{
	strlcpy(client, addr, sizeof(client));
}

/*
 * Names are set here, not in check_options: "allow-number" looks at the
 * caller's number in between.  ip-up gets the device name as $2; it has no
 * slash, so that nobody takes it for a file.
 */
void
pptp_tune_names(void)
{
	char name[sizeof("pptp:") + INET_ADDRSTRLEN] = "pptp";

	if (client[0] != '\0') {
		strlcat(name, ":", sizeof(name));
		strlcat(name, client, sizeof(name));
		ppp_script_setenv("PPTP_CLIENT", client, 0);
		if (*ppp_get_remote_number() == '\0')
			ppp_set_remote_number(client);
	}
	/* pppd 2.5.2 and later do it themselves. */
	if (*ppp_get_remote_number() != '\0')
		ppp_script_setenv("REMOTENUMBER", ppp_get_remote_number(), 0);
	ppp_set_devnam(name);
	ppp_set_pppdevnam(name);
}

const option_t *
pptp_option_find(const struct protent *p, const char *name)
{
	const option_t *opt = p->options;

	for (; opt != NULL && opt->name != NULL; opt++)
		if (opt->type != o_wild && strcmp(opt->name, name) == 0)
			return opt;
	return NULL;
}

/*
 * A value cannot tell a default from the same number given by hand; pppd
 * notes in the option's entry who set it.  (Not by "source": 2.5 frees the
 * file names it points to.)
 */
static int
given(const char *lcp_option)
{
	const option_t *opt = pptp_option_find(&lcp_protent, lcp_option);

	return opt != NULL && opt->priority != OPRIO_DEFAULT;
}

static int
min(int a, int b)
{
	return a < b ? a : b;
}

static int
max(int a, int b)
{
	return a > b ? a : b;
}

/* LCP keeps "mtu" as the largest MRU it allows the peer to ask for. */
static void
tune_mtu(void)
{
	int *mtu = &lcp_allowoptions[0].mru;
	int *mru = &lcp_wantoptions[0].mru;

	if (!given("mtu"))
		*mtu = MTU_DEFAULT;
	/* The interface gets the smaller of the two: a lone "mtu 1450" must
	 * not end as 1400. */
	if (!given("mru"))
		*mru = max(MTU_DEFAULT, *mtu);
	*mtu = min(*mtu, MTU_MAX);
	*mru = min(*mru, MTU_MAX);
}

/*
 * Nothing is gained by shortening headers inside GRE, so we never ask for
 * it.  What the client asks for stays allowed: a refusal costs a round trip.
 */
static void
tune_lcp(void)
{
	lcp_options *want = &lcp_wantoptions[0];

	want->neg_pcompression = 0;
	want->neg_accompression = 0;
	/* The relay escapes no control characters on the pty. */
	want->neg_asyncmap = pptp_channel_is_tty();
	want->asyncmap = 0;
	if (pptp_channel_is_tty())
		lcp_allowoptions[0].neg_asyncmap = 1;
}

/*
 * Only MPPE: a compressor loses its dictionary with each lost packet, and
 * GRE loses packets.
 */
static void
tune_compression(void)
{
	ccp_wantoptions[0].deflate = ccp_allowoptions[0].deflate = 0;
	ccp_wantoptions[0].bsd_compress = ccp_allowoptions[0].bsd_compress = 0;
	ccp_wantoptions[0].predictor_1 = ccp_allowoptions[0].predictor_1 = 0;
	ipcp_wantoptions[0].neg_vj = ipcp_allowoptions[0].neg_vj = 0;
}

void
pptp_tune_options(void)
{
	/* As the tty channel without a connect script would say: there is
	 * nobody to dial. */
	if (demand) {
		ppp_option_error("demand-dialling is impossible on a PPTP call");
		exit(EXIT_OPTION_ERROR);
	}
	tune_mtu();
	tune_lcp();
	tune_compression();
	pptp_events_options_done();
}
