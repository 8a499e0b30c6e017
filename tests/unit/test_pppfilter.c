/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/pppfilter.h"

#define F(...)	(const uint8_t[]){ __VA_ARGS__ }, \
		sizeof((const uint8_t[]){ __VA_ARGS__ })
#define LEN(a)	(sizeof(a) / sizeof((a)[0]))

/* PPTP_VPN_Sniffer, Windows 10, from the GRE payload on. */
static const uint8_t win_lcp[] = {		/* #10 */
	0xff, 0x03, 0xc0, 0x21, 0x01, 0x00, 0x00, 0x15, 0x01,
	0x04, 0x05, 0x78, 0x05, 0x06, 0x6f, 0x02, 0x3e, 0x93,
	0x07, 0x02, 0x08, 0x02, 0x0d, 0x03, 0x06,
};
static const uint8_t win_ipv6cp[] = {		/* #27 */
	0x80, 0x57, 0x01, 0x05, 0x00, 0x0e, 0x01, 0x0a,
	0xa8, 0xdd, 0x1f, 0x39, 0xa6, 0x9e, 0x4f, 0xe0,
};
static const uint8_t win_ccp[] = {		/* #28 */
	0x80, 0xfd, 0x01, 0x06, 0x00, 0x0a, 0x12, 0x06, 0x01, 0x00, 0x00, 0x00,
};
static const uint8_t win_ipcp[] = {		/* #29 */
	0x80, 0x21, 0x01, 0x07, 0x00, 0x22, 0x03, 0x06, 0x00, 0x00, 0x00, 0x00,
	0x81, 0x06, 0x00, 0x00, 0x00, 0x00, 0x82, 0x06, 0x00, 0x00, 0x00, 0x00,
	0x83, 0x06, 0x00, 0x00, 0x00, 0x00, 0x84, 0x06, 0x00, 0x00, 0x00, 0x00,
};
static const uint8_t pppd_ccp[] = {		/* #30, from the server */
	0x80, 0xfd, 0x01, 0x01, 0x00, 0x0a, 0x12, 0x06, 0x01, 0x00, 0x00, 0x40,
};
static const uint8_t win_ccp_ack[] = {		/* #34 */
	0x80, 0xfd, 0x02, 0x01, 0x00, 0x0a, 0x12, 0x06, 0x01, 0x00, 0x00, 0x40,
};
static const uint8_t pppd_ipcp[] = {		/* #37, from the server */
	0x80, 0x21, 0x01, 0x01, 0x00, 0x0a, 0x03, 0x06, 0x0a, 0x00, 0x00, 0x01,
};
static const uint8_t win_mppe0[] = {		/* #55, head; seq 0x11 */
	0xfd, 0x90, 0x00, 0x72, 0xd1, 0x56, 0x23, 0xd3, 0xb2, 0x8e,
};
static const uint8_t win_mppe1[] = {		/* #58, head; seq 0x12 */
	0xfd, 0x90, 0x01, 0xa8, 0x1b, 0xe6, 0xd8, 0x0b, 0x90, 0x56,
};
/* ndpi-gre #1, head: plain IPv4 in an unencrypted call. */
static const uint8_t plain_ip[] = {
	0xff, 0x03, 0x00, 0x21, 0x45, 0xa0, 0x01, 0x46, 0x38, 0xc1, 0x00, 0x00,
};

static struct pppfilter f;
static unsigned slot;

static void
mppe_call(void)
{
	pppfilter_init(&f);
	pppfilter_config(&f, true, false, false, true, false, false);
	slot = 99;
}

static void
plain_call(void)
{
	pppfilter_init(&f);
	pppfilter_config(&f, false, false, true, true, true, true);
	slot = 99;
}

static enum ppp_verdict
in(const uint8_t *frame, size_t len)
{
	return pppfilter_in(&f, frame, len, 0, &slot);
}

static enum ppp_verdict
mppe_in(uint32_t seq, unsigned field)
{
	const uint8_t frame[] = {
		0x00, 0xfd, (uint8_t)(field >> 8), (uint8_t)field, 0x11, 0x22,
	};

	return pppfilter_in(&f, frame, sizeof(frame), seq, &slot);
}

/* A whole Windows 10 login, in the order of the capture. */
static void
windows_login_passes(void **state)
{
	(void)state;
	pppfilter_init(&f);
	assert_int_equal(in(win_lcp, sizeof(win_lcp)), PPP_PASS);
	pppfilter_config(&f, true, false, false, true, false, true);
	assert_int_equal(in(win_ipv6cp, sizeof(win_ipv6cp)), PPP_HOLD);
	assert_int_equal(slot, 1);
	assert_int_equal(in(win_ccp, sizeof(win_ccp)), PPP_PASS);
	assert_int_equal(in(win_ipcp, sizeof(win_ipcp)), PPP_HOLD);
	assert_int_equal(slot, 0);
	assert_int_equal(pppfilter_out(&f, pppd_ccp, sizeof(pppd_ccp)),
	    PPP_OUT_PLAIN);
	assert_int_equal(in(win_ccp_ack, sizeof(win_ccp_ack)), PPP_PASS);
	assert_int_equal(pppfilter_out(&f, pppd_ipcp, sizeof(pppd_ipcp)),
	    PPP_OUT_RELEASE);
	assert_int_equal(pppfilter_out(&f, pppd_ipcp, sizeof(pppd_ipcp)),
	    PPP_OUT_PLAIN);
	assert_int_equal(in(win_ipcp, sizeof(win_ipcp)), PPP_PASS);
	assert_int_equal(in(win_ipv6cp, sizeof(win_ipv6cp)), PPP_PASS);
	assert_int_equal(pppfilter_in(&f, win_mppe0, sizeof(win_mppe0), 0x11,
	    &slot), PPP_PASS);
	assert_int_equal(pppfilter_in(&f, win_mppe1, sizeof(win_mppe1), 0x12,
	    &slot), PPP_PASS);
	assert_int_equal(in(plain_ip, sizeof(plain_ip)), PPP_DROP_PLAIN);
}

/* P12: each data protocol, in each of its forms, stays outside. */
static void
plain_data_is_dropped_where_mppe_is_required(void **state)
{
	uint8_t frame[12] = { 0xff, 0x03 };

	(void)state;
	mppe_call();
	for (unsigned proto = 0; proto < 0x8000; proto++) {
		if (proto == PPP_COMP || (proto >> 8 & 1) != 0)
			continue;
		frame[2] = (uint8_t)(proto >> 8);
		frame[3] = (uint8_t)proto;
		assert_int_equal(in(frame, 12), PPP_DROP_PLAIN);
		assert_int_equal(in(frame + 2, 10), PPP_DROP_PLAIN);
	}
	for (unsigned proto = 1; proto < 0xff; proto += 2) {
		if (proto == PPP_COMP)
			continue;
		frame[3] = (uint8_t)proto;
		frame[2] = frame[3];
		assert_int_equal(in(frame, 12), PPP_DROP_PLAIN);
		assert_int_equal(in(frame + 3, 9), PPP_DROP_PLAIN);
	}
	/* ff 03 once only: pppd and the kernel strip it once, too. */
	assert_int_equal(in(F(0xff, 0x03, 0xff, 0x03, 0x00, 0x21, 0x45, 1)),
	    PPP_DROP_PLAIN);
	assert_int_equal(in(F(0xff, 0x03, 0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 4)),
	    PPP_DROP_PLAIN);
	/* ff without 03 is a protocol of one byte. */
	assert_int_equal(in(F(0xff, 0x04, 0xc0, 0x21, 1, 1, 0, 4)),
	    PPP_DROP_PLAIN);
	assert_int_equal(in(F(0x00, 0xfd, 0x90, 0x00, 0x11, 0x22)), PPP_PASS);
}

static void
plain_data_passes_where_it_is_agreed(void **state)
{
	(void)state;
	plain_call();
	assert_int_equal(in(plain_ip, sizeof(plain_ip)), PPP_PASS);
	assert_int_equal(in(plain_ip + 2, sizeof(plain_ip) - 2), PPP_PASS);
	assert_int_equal(in(plain_ip + 3, sizeof(plain_ip) - 3), PPP_PASS);
	assert_int_equal(in(F(0x57, 0x60, 0)), PPP_PASS);
	assert_int_equal(in(F(0x00, 0x2d, 0, 0)), PPP_DROP_PROTOCOL); /* VJ */
	assert_int_equal(in(F(0x00, 0x2f, 0, 0)), PPP_DROP_PROTOCOL);
	assert_int_equal(in(F(0x00, 0x3d, 0, 0)), PPP_DROP_PROTOCOL); /* MP */
	assert_int_equal(in(F(0x00, 0x2b, 0, 0)), PPP_DROP_PROTOCOL); /* IPX */
	assert_int_equal(in(F(0x02, 0x81, 0, 0)), PPP_DROP_PROTOCOL); /* MPLS */
	assert_int_equal(in(F(0x00, 0xfd, 0x00, 0x00, 0x11, 0x22)), PPP_PASS);
	pppfilter_config(&f, false, false, true, true, true, false);
	assert_int_equal(in(F(0x57, 0x60, 0)), PPP_DROP_PROTOCOL);
}

static void
no_data_passes_before_the_configuration(void **state)
{
	(void)state;
	pppfilter_init(&f);
	assert_int_equal(in(plain_ip, sizeof(plain_ip)), PPP_DROP_PLAIN);
	assert_int_equal(in(win_mppe0, sizeof(win_mppe0)), PPP_DROP_PROTOCOL);
	assert_int_equal(pppfilter_out(&f, plain_ip, sizeof(plain_ip)),
	    PPP_OUT_BAD);
}

static void
frames_without_protocol_or_content_are_short(void **state)
{
	(void)state;
	mppe_call();
	assert_int_equal(in(NULL, 0), PPP_DROP_SHORT);
	assert_int_equal(in(F(0xff)), PPP_DROP_SHORT);
	assert_int_equal(in(F(0x21)), PPP_DROP_SHORT);
	assert_int_equal(in(F(0xc0)), PPP_DROP_SHORT);
	assert_int_equal(in(F(0xff, 0x03)), PPP_DROP_SHORT);
	assert_int_equal(in(F(0xff, 0x03, 0xc0)), PPP_DROP_SHORT);
	assert_int_equal(in(F(0xff, 0x03, 0xc0, 0x21)), PPP_DROP_SHORT);
	assert_int_equal(in(F(0xff, 0x03, 0xc0, 0x21, 9, 1, 0)),
	    PPP_DROP_SHORT);
	assert_int_equal(in(F(0xff, 0x03, 0xc0, 0x21, 9, 1, 0, 4)), PPP_PASS);
	assert_int_equal(in(F(0xff, 0x03, 0x21)), PPP_DROP_PLAIN);
	assert_int_equal(in(F(0xfd, 0x90, 0x00)), PPP_DROP_SHORT);
	/* One encrypted byte is no whole protocol, and may stop the kernel. */
	assert_int_equal(in(F(0xfd, 0x90, 0x00, 0x00)), PPP_DROP_SHORT);
	assert_int_equal(in(F(0xff, 0x03, 0x00, 0xfd, 0x90, 0x00, 0x00)),
	    PPP_DROP_SHORT);
	assert_int_equal(in(F(0xfd, 0x90, 0x00, 0x00, 0x00)), PPP_PASS);
	assert_int_equal(pppfilter_out(&f, NULL, 0), PPP_OUT_BAD);
	assert_int_equal(pppfilter_out(&f, F(0xfd)), PPP_OUT_BAD);
	assert_int_equal(pppfilter_out(&f, F(0xff, 0x03)), PPP_OUT_BAD);
	assert_int_equal(pppfilter_out(&f, F(0xff, 0x03, 0x80)), PPP_OUT_BAD);
	assert_int_equal(pppfilter_out(&f, F(0xc0, 0x21)), PPP_OUT_PLAIN);
}

/* All 32 Ki protocols of control, against the list. */
static void
only_asked_for_control_passes(void **state)
{
	static const bool options[][3] = {
		{ true, false, false }, { false, true, false },
		{ false, false, true }, { false, false, false },
	};

	(void)state;
	for (size_t i = 0; i <= LEN(options); i++) {
		bool all = i == LEN(options);
		uint8_t frame[] = { 0, 0, 9, 1, 0, 4 };

		pppfilter_init(&f);
		if (!all)
			pppfilter_config(&f, true, false, options[i][0],
			    options[i][1], options[i][2], false);
		f.ncp_out = true;
		for (unsigned proto = 0x8000; proto <= 0xffff; proto++) {
			bool ok = proto == 0xc021 || proto == 0x80fd ||
			    proto == 0x8021 || proto == 0x8057;

			if ((proto >> 8 & 1) != 0)
				continue;
			if (proto == 0xc023)
				ok = all || options[i][0];
			if (proto == 0xc223)
				ok = all || options[i][1];
			if (proto == 0xc227)
				ok = all || options[i][2];
			frame[0] = (uint8_t)(proto >> 8);
			frame[1] = (uint8_t)proto;
			assert_int_equal(in(frame, sizeof(frame)),
			    ok ? PPP_PASS : PPP_DROP_PROTOCOL);
		}
	}
}

/* The longest frame of each kind that passes; form 0 has ff 03 and all of the
 * protocol, each further one is a byte shorter on the line. */
static size_t
longest(unsigned proto, unsigned code, unsigned form)
{
	static uint8_t frame[5000];
	size_t max = 0;
	uint8_t *p = frame;

	if (form == 0) {
		*p++ = 0xff;
		*p++ = 0x03;
	}
	if (form < 2)
		*p++ = (uint8_t)(proto >> 8);
	*p++ = (uint8_t)proto;
	p[0] = (uint8_t)code;
	for (size_t len = 16; len < sizeof(frame); len++) {
		if (in(frame, len) == PPP_PASS)
			max = len;
		else
			assert_int_equal(in(frame, len), PPP_DROP_OVERSIZE);
	}
	return max;
}

static void
sizes_are_limited(void **state)
{
	(void)state;
	plain_call();
	f.ncp_out = true;
	for (unsigned form = 0; form < 2; form++) {
		size_t cut = 2 * form;

		assert_int_equal(longest(PPP_LCP, 9, form), 1490 - cut);
		assert_int_equal(longest(PPP_LCP, 8, form), 1490 - cut);
		assert_int_equal(longest(PPP_LCP, 200, form), 1490 - cut);
		assert_int_equal(longest(PPP_LCP, 1, form), 1024 - cut);
		assert_int_equal(longest(PPP_CCP, 1, form), 1024 - cut);
		assert_int_equal(longest(PPP_IPCP, 1, form), 1024 - cut);
		assert_int_equal(longest(PPP_IPV6CP, 1, form), 1024 - cut);
		assert_int_equal(longest(PPP_IPCP, 2, form), 1490 - cut);
		assert_int_equal(longest(PPP_CHAP, 1, form), 1490 - cut);
		assert_int_equal(longest(PPP_EAP, 1, form), 1490 - cut);
		assert_int_equal(longest(PPP_PAP, 1, form), 1490 - cut);
	}
	for (unsigned form = 0; form < 3; form++) {
		size_t cut = form + (form > 0);

		assert_int_equal(longest(0x21, 0x45, form), 1600 - cut);
		assert_int_equal(longest(PPP_COMP, 0x90, form), 1490 - cut);
	}
	pppfilter_config(&f, true, true, false, true, false, false);
	for (unsigned form = 0; form < 3; form++)
		assert_int_equal(longest(PPP_COMP, 0x90, form),
		    1600 - form - (form > 0));
	/* pppd 2.4.9's buffer has 1504 bytes; its Protocol-Reject of our
	 * longest frame is 6 bytes longer than that. */
	assert_true(PPP_CONTROL_MAX + 6 <= 1504);
}

static void
early_network_requests_are_held(void **state)
{
	static const uint8_t ipv6cp_req[] = { 0x80, 0x57, 1, 1, 0, 4 };

	(void)state;
	mppe_call();
	assert_int_equal(in(win_ipcp, sizeof(win_ipcp)), PPP_HOLD);
	assert_int_equal(slot, 0);
	/* No IPv6 here: pppd shall say so at once. */
	assert_int_equal(in(win_ipv6cp, sizeof(win_ipv6cp)), PPP_PASS);
	assert_int_equal(slot, 0);
	/* Nothing but an NCP's request is a reason to release. */
	assert_int_equal(pppfilter_out(&f, win_lcp, sizeof(win_lcp)),
	    PPP_OUT_PLAIN);
	assert_int_equal(pppfilter_out(&f, pppd_ccp, sizeof(pppd_ccp)),
	    PPP_OUT_PLAIN);
	assert_int_equal(pppfilter_out(&f, F(0x80, 0x21, 2, 1, 0, 4)),
	    PPP_OUT_PLAIN);
	assert_int_equal(pppfilter_out(&f, F(0xc2, 0x23, 1, 1, 0, 4)),
	    PPP_OUT_PLAIN);
	assert_int_equal(in(win_ipcp, sizeof(win_ipcp)), PPP_HOLD);
	assert_int_equal(pppfilter_out(&f, ipv6cp_req, sizeof(ipv6cp_req)),
	    PPP_OUT_RELEASE);
	assert_int_equal(in(win_ipcp, sizeof(win_ipcp)), PPP_PASS);

	pppfilter_init(&f);			/* not known yet: hold both */
	assert_int_equal(in(win_ipcp, sizeof(win_ipcp)), PPP_HOLD);
	assert_int_equal(slot, 0);
	assert_int_equal(in(win_ipv6cp, sizeof(win_ipv6cp)), PPP_HOLD);
	assert_int_equal(slot, 1);
}

static void
lcp_anew_holds_again(void **state)
{
	(void)state;
	mppe_call();
	pppfilter_out(&f, pppd_ipcp, sizeof(pppd_ipcp));
	assert_int_equal(in(win_ipcp, sizeof(win_ipcp)), PPP_PASS);
	assert_int_equal(pppfilter_out(&f, F(0xc0, 0x21, 2, 1, 0, 4)),
	    PPP_OUT_PLAIN);
	assert_int_equal(in(win_ipcp, sizeof(win_ipcp)), PPP_PASS);
	assert_int_equal(pppfilter_out(&f, F(0xc0, 0x21, 1, 1, 0, 4)),
	    PPP_OUT_PLAIN);
	assert_int_equal(in(win_ipcp, sizeof(win_ipcp)), PPP_HOLD);
}

/* The manager restarted, the filter is new, the call is not. */
static void
data_going_out_releases(void **state)
{
	(void)state;
	mppe_call();
	assert_int_equal(pppfilter_out(&f, win_mppe0, sizeof(win_mppe0)),
	    PPP_OUT_RELEASE);
	assert_int_equal(pppfilter_out(&f, win_mppe0, sizeof(win_mppe0)),
	    PPP_OUT_PLAIN);
	assert_int_equal(in(win_ipcp, sizeof(win_ipcp)), PPP_PASS);
}

static void
plain_data_never_goes_out(void **state)
{
	uint8_t frame[8] = { 0xff, 0x03 };

	(void)state;
	mppe_call();
	for (unsigned proto = 0; proto < 0x8000; proto++) {
		if (proto == PPP_COMP || (proto >> 8 & 1) != 0)
			continue;
		frame[2] = (uint8_t)(proto >> 8);
		frame[3] = (uint8_t)proto;
		assert_int_equal(pppfilter_out(&f, frame, 8), PPP_OUT_BAD);
		assert_int_equal(pppfilter_out(&f, frame + 2, 6), PPP_OUT_BAD);
	}
	assert_int_equal(pppfilter_out(&f, F(0x21, 0x45)), PPP_OUT_BAD);
	assert_int_equal(in(win_ipcp, sizeof(win_ipcp)), PPP_HOLD);
	plain_call();
	assert_int_equal(pppfilter_out(&f, F(0x21, 0x45)), PPP_OUT_RELEASE);
	assert_int_equal(pppfilter_out(&f, F(0x21, 0x45)), PPP_OUT_PLAIN);
}

static void
terminate_request_is_answered(void **state)
{
	static const uint8_t want[] = { 0xff, 3, 0xc0, 0x21, 6, 0x2a, 0, 4 };
	static const uint8_t req[] = {
		0xff, 0x03, 0xc0, 0x21, 5, 0x2a, 0, 7, 'b', 'y', 'e',
	};
	uint8_t out[16];

	(void)state;
	mppe_call();
	assert_int_equal(pppfilter_out(&f, req, sizeof(req)),
	    PPP_OUT_TERM_REQ);
	assert_int_equal(pppfilter_out(&f, req + 2, sizeof(req) - 2),
	    PPP_OUT_TERM_REQ);
	assert_int_equal(pppfilter_out(&f, F(0xc0, 0x21, 6, 1, 0, 4)),
	    PPP_OUT_PLAIN);
	assert_int_equal(pppfilter_out(&f, F(0x80, 0x21, 5, 1, 0, 4)),
	    PPP_OUT_PLAIN);
	assert_int_equal(pppfilter_term_ack(out, sizeof(out), req,
	    sizeof(req)), 8);
	assert_memory_equal(out, want, 8);
	assert_int_equal(pppfilter_term_ack(out, 8, req + 2, 6), 8);
	assert_int_equal(pppfilter_term_ack(out, 7, req, sizeof(req)), 0);
	assert_int_equal(pppfilter_term_ack(out, 8, req, 7), 0);
	assert_int_equal(pppfilter_term_ack(out, 8, req, 1), 0);
	assert_int_equal(pppfilter_term_ack(out, 8, F(0xc0, 0x21, 6, 1, 0, 4)),
	    0);
	assert_int_equal(pppfilter_term_ack(out, 8, F(0x80, 0x21, 5, 1, 0, 4)),
	    0);
}

static void
count_may_not_outrun_the_numbers(void **state)
{
	(void)state;
	mppe_call();
	assert_int_equal(mppe_in(100, 0x9000 | 4000), PPP_PASS);
	/* Each number is at most one frame. */
	assert_int_equal(mppe_in(101, 0x9000 | 4002), PPP_DROP_MPPE);
	assert_int_equal(mppe_in(101, 0x9000 | 4000), PPP_DROP_MPPE);
	assert_int_equal(mppe_in(101, 0x9000 | 3999), PPP_DROP_MPPE);
	assert_int_equal(mppe_in(101, 0x9000 | 4001), PPP_PASS);
	assert_int_equal(mppe_in(101, 0x9000 | 4002), PPP_DROP_MPPE);
	/* A loss of 9; of one, across 4096. */
	assert_int_equal(mppe_in(111, 0x9000 | 4012), PPP_DROP_MPPE);
	assert_int_equal(mppe_in(111, 0x9000 | 4011), PPP_PASS);
	assert_int_equal(mppe_in(196, 0x9000), PPP_PASS);
	assert_int_equal(mppe_in(0, 0x9000 | 1), PPP_PASS);	/* anew */
	assert_int_equal(mppe_in(1, 0x9000 | 2), PPP_PASS);
}

static void
numbers_wrap_under_the_count(void **state)
{
	(void)state;
	mppe_call();
	assert_int_equal(mppe_in(0xffffffff, 0x9005), PPP_PASS);
	assert_int_equal(mppe_in(0, 0x9007), PPP_DROP_MPPE);
	assert_int_equal(mppe_in(0, 0x9006), PPP_PASS);
}

static void
control_frames_are_no_lost_data(void **state)
{
	uint32_t seq = 1;

	(void)state;
	mppe_call();
	assert_int_equal(mppe_in(0, 0x9000), PPP_PASS);
	for (; seq < 1000; seq++)
		assert_int_equal(in(F(0xc0, 0x21, 9, 1, 0, 4)), PPP_PASS);
	/* Each may have displaced a true one, but no more than that. */
	assert_int_equal(mppe_in(seq, 0x9000 + 1001), PPP_DROP_MPPE);
	in(plain_ip, sizeof(plain_ip));
	in(F(0xff));
	seq += 2;
	assert_int_equal(mppe_in(seq, 0x9000 + 1003), PPP_DROP_MPPE);
	assert_int_equal(mppe_in(seq, 0x9001), PPP_PASS);
	/* More than 4096: still the next one. */
	for (seq++; seq < 200000; seq++)
		assert_int_equal(in(F(0xc0, 0x21, 9, 1, 0, 4)), PPP_PASS);
	assert_int_equal(mppe_in(seq, 0x9002), PPP_PASS);
}

/* A forged frame with the next number takes the place of a true one, which
 * is late after it.  The client's count went on all the same: what follows
 * must pass, now and for ever. */
static void
forged_frames_cost_only_those_they_displace(void **state)
{
	(void)state;
	mppe_call();
	assert_int_equal(mppe_in(10, 0x9000), PPP_PASS);
	for (uint32_t seq = 11; seq < 15; seq++)
		assert_int_equal(pppfilter_in(&f, plain_ip, sizeof(plain_ip),
		    seq, &slot), PPP_DROP_PLAIN);
	assert_int_equal(mppe_in(15, 0x9005), PPP_PASS);
	assert_int_equal(mppe_in(16, 0x9006), PPP_PASS);
	/* But no further than their number. */
	assert_int_equal(pppfilter_in(&f, plain_ip, sizeof(plain_ip), 17,
	    &slot), PPP_DROP_PLAIN);
	assert_int_equal(mppe_in(18, 0x9009), PPP_DROP_MPPE);
	assert_int_equal(mppe_in(18, 0x9008), PPP_PASS);
}

/* ppp_mppe ends the link at the sixteenth such frame. */
static void
wrong_bits_are_dropped(void **state)
{
	(void)state;
	mppe_call();
	for (unsigned bits = 0; bits < 16; bits++)
		assert_int_equal(mppe_in(bits, bits << 12 | bits),
		    (bits & 9) == 9 ? PPP_PASS : PPP_DROP_MPPE);
	assert_int_equal(f.mppe_count, 15);
}

static void
stateful_counts_are_not_judged(void **state)
{
	(void)state;
	pppfilter_init(&f);
	pppfilter_config(&f, true, true, false, true, false, false);
	assert_int_equal(mppe_in(0, 0x9000), PPP_PASS);
	assert_int_equal(mppe_in(1, 0x1fff), PPP_PASS);
	assert_int_equal(mppe_in(2, 0x0005), PPP_PASS);
	plain_call();
	assert_int_equal(mppe_in(1, 0x0fff), PPP_PASS);
}

static void
only_the_ack_of_our_ccp_request_restarts_the_count(void **state)
{
	(void)state;
	mppe_call();
	assert_int_equal(mppe_in(10, 0x9000 | 500), PPP_PASS);
	/* A forged ack, before we asked or with another id. */
	pppfilter_out(&f, F(0x80, 0xfd, 2, 1, 0, 4));
	in(win_ccp_ack, sizeof(win_ccp_ack));
	assert_int_equal(mppe_in(12, 0x9000), PPP_DROP_MPPE);
	pppfilter_out(&f, pppd_ccp, sizeof(pppd_ccp));
	in(F(0x80, 0xfd, 2, 9, 0, 4));
	in(F(0x80, 0xfd, 1, 1, 0, 4));
	in(F(0xc0, 0x21, 2, 1, 0, 4));
	assert_int_equal(mppe_in(16, 0x9000), PPP_DROP_MPPE);
	in(win_ccp_ack, sizeof(win_ccp_ack));
	assert_int_equal(mppe_in(18, 0x9000), PPP_PASS);
	/* Once. */
	in(win_ccp_ack, sizeof(win_ccp_ack));
	assert_int_equal(mppe_in(20, 0x9000 | 700), PPP_DROP_MPPE);
	assert_int_equal(mppe_in(20, 0x9001), PPP_PASS);
}

/* What ppp_mppe does with it: rekey up to its count, 2048 steps at most. */
static uint32_t
kernel(uint32_t rekeyed, const uint8_t *frame, size_t len)
{
	unsigned count = (unsigned)(frame[4] << 8 | frame[5]);
	uint32_t steps = ((count & 0xfff) - rekeyed) & 0xfff;

	/* Less than two encrypted bytes may stop it. */
	assert_int_equal(len, 8);
	assert_memory_equal(frame, "\xff\x03\x00\xfd", 4);
	assert_int_equal(count & 0xf000, 0x9000);
	assert_int_equal(frame[6], 0);
	assert_true(steps <= 2048);
	return rekeyed + steps;
}

/* lost frames of MPPE and control after number 1000, count start. */
static void
long_gap(uint32_t lost, uint32_t control, uint32_t begin)
{
	uint32_t seq = 1000 + lost + control + 1;
	uint32_t count = begin + lost + 1;	/* true one, not modulo */
	unsigned field = 0x9000 | (count & 0xfff);
	uint32_t rekeyed = begin, steps = 0;
	uint8_t out[PPP_STEP_LEN];
	size_t len;

	mppe_call();
	mppe_in(1000, 0x9000 | (begin & 0xfff));
	if (lost < 2048) {
		assert_int_equal(mppe_in(seq, field), PPP_PASS);
		assert_int_equal(pppfilter_step(&f, out, sizeof(out)), 0);
		return;
	}
	assert_int_equal(mppe_in(seq, field), PPP_DROP_MPPE);
	assert_int_equal(pppfilter_step(&f, out, PPP_STEP_LEN - 1), 0);
	while ((len = pppfilter_step(&f, out, sizeof(out))) > 0) {
		rekeyed = kernel(rekeyed, out, len);
		steps++;
	}
	assert_true(steps >= 1 && steps <= 31);
	assert_true(count - rekeyed >= 1 && count - rekeyed <= 2048);
	assert_int_equal(mppe_in(seq, field), PPP_PASS);
	assert_int_equal(mppe_in(seq + 1, field + 2), PPP_DROP_MPPE);
	assert_int_equal(mppe_in(seq + 1, 0x9000 | ((count + 1) & 0xfff)),
	    PPP_PASS);
	assert_int_equal(pppfilter_step(&f, out, sizeof(out)), 0);
}

static void
long_gaps_are_bridged(void **state)
{
	static const uint32_t lost[] = {
		1, 2046, 2047, 2048, 2049, 4000, 4094, 4095, 4096, 4097, 6143,
		6144, 8191, 8192, 10000, 20000, 65000,
	};

	(void)state;
	for (size_t i = 0; i < LEN(lost); i++) {
		for (uint32_t begin = 0; begin < 4096; begin += 1365) {
			long_gap(lost[i], 0, begin);
			long_gap(lost[i], 7, begin);
			long_gap(lost[i], 500, begin);
		}
	}
	long_gap(65535, 0, 5);
}

/* Beyond, nobody knows: the client may have begun its numbers anew. */
static void
longest_gaps_go_by_the_count_alone(void **state)
{
	uint8_t out[PPP_STEP_LEN];

	(void)state;
	mppe_call();
	mppe_in(1000, 0x9000 | 100);
	assert_int_equal(mppe_in(1000 + 65537, 0x9000 | (100 + 2049)),
	    PPP_DROP_MPPE);
	assert_int_equal(pppfilter_step(&f, out, sizeof(out)), 0);
	assert_int_equal(mppe_in(1000 + 65537, 0x9000 | 99), PPP_DROP_MPPE);
	assert_int_equal(mppe_in(1000 + 65537, 0x9000 | (100 + 2048)),
	    PPP_PASS);
	/* A step is not left over from a frame that was not passed. */
	mppe_in(1000 + 65537 + 4000, 0x9000 | (100 + 2048 + 3000));
	mppe_in(1000 + 65537 + 4000, 0x1000);
	assert_int_equal(pppfilter_step(&f, out, sizeof(out)), 0);
}

/* The count is checked from the next frame on, as if nothing had happened. */
static void
another_process_goes_on(void **state)
{
	struct pppfilter before;

	(void)state;
	mppe_call();
	assert_int_equal(pppfilter_in(&f, win_mppe0, sizeof(win_mppe0), 0x11,
	    &slot), PPP_PASS);
	assert_int_equal(pppfilter_in(&f, win_ccp, sizeof(win_ccp), 0x12,
	    &slot), PPP_PASS);
	before = f;
	f.mppe_any = false;
	f.mppe_count = 77;
	f.mppe_seq = f.mppe_others = f.mppe_ahead = 99;
	pppfilter_resume(&f, pppfilter_word(&before));
	assert_memory_equal(&f, &before, sizeof(f));
	/* Nothing seen yet is a state too. */
	mppe_call();
	assert_int_equal(pppfilter_word(&f), 0);
	pppfilter_resume(&f, 0);
	assert_false(f.mppe_any);
}

/* --- names that are claimed --- */

#define CLAIM(...)	claims((const uint8_t []){ __VA_ARGS__ },	\
			    sizeof((const uint8_t []){ __VA_ARGS__ }))

/* The name, or NULL. */
static const char *
claims(const uint8_t *bytes, size_t len)
{
	static char name[6];

	memset(name, '!', sizeof(name));
	if (pppfilter_claim(bytes, len, name, sizeof(name)))
		return name;
	assert_int_equal(name[0], '!');
	return NULL;
}

static void
names_are_found_in_logins(void **state)
{
	(void)state;
	/* CHAP Response: the value's length, the value, the name. */
	assert_string_equal(CLAIM(0xff, 0x03, 0xc2, 0x23, 2, 7, 0, 10, 2, 9, 9,
	    'b', 'o', 'b'), "bob");
	assert_string_equal(CLAIM(0xc2, 0x23, 2, 7, 0, 8, 0, 'b', 'o', 'b'),
	    "bob");
	/* PAP: the name's length, the name, the password. */
	assert_string_equal(CLAIM(0xc0, 0x23, 1, 1, 0, 11, 3, 'b', 'o', 'b', 2,
	    'p', 'w'), "bob");
	assert_string_equal(CLAIM(0xc2, 0x27, 2, 1, 0, 8, 1, 'b', 'o', 'b'),
	    "bob");
	/* Padding behind the packet is no part of it. */
	assert_string_equal(CLAIM(0xc2, 0x27, 2, 1, 0, 8, 1, 'b', 'o', 'b', 'x',
	    'x'), "bob");
	assert_string_equal(CLAIM(0xc2, 0x23, 2, 7, 0, 7, 2, 9, 9), "");
	/* What does not fit is cut. */
	assert_string_equal(CLAIM(0xc2, 0x23, 2, 7, 0, 12, 0, 'a', 'l', 'i',
	    'c', 'i', 'a', 's'), "alici");
}

static void
nothing_else_claims_a_name(void **state)
{
	(void)state;
	assert_null(CLAIM(0xc2, 0x23, 1, 7, 0, 8, 0, 'b', 'o', 'b'));
	assert_null(CLAIM(0xc0, 0x23, 2, 7, 0, 8, 3, 'b', 'o', 'b'));
	assert_null(CLAIM(0xc2, 0x27, 2, 7, 0, 8, 3, 'b', 'o', 'b'));
	assert_null(CLAIM(0xc2, 0x27, 1, 7, 0, 8, 1, 'b', 'o', 'b'));
	assert_null(CLAIM(0xc0, 0x21, 2, 7, 0, 8, 1, 'b', 'o', 'b'));
	/* Lengths that reach beyond, or not to the first byte. */
	assert_null(CLAIM(0xc2, 0x23, 2, 7, 0, 9, 0, 'b', 'o', 'b'));
	assert_null(CLAIM(0xc2, 0x23, 2, 7, 0, 8, 4, 'b', 'o', 'b'));
	assert_null(CLAIM(0xc0, 0x23, 1, 7, 0, 8, 4, 'b', 'o', 'b'));
	assert_null(CLAIM(0xc2, 0x23, 2, 7, 0, 4, 0, 'b', 'o', 'b'));
	assert_null(CLAIM(0xc2, 0x23, 2, 7, 0, 5));
	assert_null(CLAIM(0xc2));
	/* The first byte alone is a whole packet. */
	assert_string_equal(CLAIM(0xc2, 0x23, 2, 7, 0, 5, 0), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_login_passes),
		cmocka_unit_test(names_are_found_in_logins),
		cmocka_unit_test(nothing_else_claims_a_name),
		cmocka_unit_test(plain_data_is_dropped_where_mppe_is_required),
		cmocka_unit_test(plain_data_passes_where_it_is_agreed),
		cmocka_unit_test(no_data_passes_before_the_configuration),
		cmocka_unit_test(frames_without_protocol_or_content_are_short),
		cmocka_unit_test(only_asked_for_control_passes),
		cmocka_unit_test(sizes_are_limited),
		cmocka_unit_test(early_network_requests_are_held),
		cmocka_unit_test(lcp_anew_holds_again),
		cmocka_unit_test(data_going_out_releases),
		cmocka_unit_test(plain_data_never_goes_out),
		cmocka_unit_test(terminate_request_is_answered),
		cmocka_unit_test(count_may_not_outrun_the_numbers),
		cmocka_unit_test(numbers_wrap_under_the_count),
		cmocka_unit_test(control_frames_are_no_lost_data),
		cmocka_unit_test(forged_frames_cost_only_those_they_displace),
		cmocka_unit_test(wrong_bits_are_dropped),
		cmocka_unit_test(stateful_counts_are_not_judged),
		cmocka_unit_test(
		    only_the_ack_of_our_ccp_request_restarts_the_count),
		cmocka_unit_test(long_gaps_are_bridged),
		cmocka_unit_test(longest_gaps_go_by_the_count_alone),
		cmocka_unit_test(another_process_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
