/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cli/firewall.c: what check says about a packet filter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/firewall.h"

static char rule[FW_RULE_MAX];
static int related;

static enum fw_verdict
tables(const char *rules, enum fw_packet packet)
{
	char save[2048] = "*nat\n:INPUT DROP [0:0]\nCOMMIT\n*filter\n";

	strcat(save, rules);
	strcat(save, "COMMIT\n");
	related = -1;
	return fw_iptables(save, packet, rule, &related);
}

static void
an_empty_filter_lets_all_in(void **state)
{
	(void)state;
	assert_int_equal(fw_iptables("", FW_GRE, rule, &related), FW_PASSES);
	assert_int_equal(tables(":INPUT ACCEPT [0:0]\n", FW_GRE), FW_PASSES);
}

static void
a_policy_drops_what_no_rule_takes(void **state)
{
	static const char open[] = ":INPUT DROP [0:0]\n"
	    "-A INPUT -i lo -j ACCEPT\n"
	    "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
	    "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n"
	    "-A INPUT -p tcp -m multiport --dports 80,1700:1800 -m comment "
	    "--comment \"for -j DROP\" -j ACCEPT\n";

	(void)state;
	assert_int_equal(tables(open, FW_CONTROL), FW_PASSES);
	assert_int_equal(tables(open, FW_GRE), FW_DROPS);
	assert_string_equal(rule, "policy DROP of chain INPUT");
	assert_int_equal(related, 1);
	assert_int_equal(tables(":INPUT DROP [0:0]\n"
	    "-A INPUT -p gre -j ACCEPT\n", FW_CONTROL), FW_DROPS);
	assert_int_equal(related, 0);
}

static void
the_first_rule_that_fits_decides(void **state)
{
	static const char first[] = ":INPUT ACCEPT [0:0]\n"
	    "-A INPUT -p tcp -m tcp --dport 1723 -j REJECT --reject-with "
	    "tcp-reset\n"
	    "-A INPUT -p tcp -j ACCEPT\n"
	    "-A INPUT ! -p udp -j DROP\n";

	(void)state;
	assert_int_equal(tables(first, FW_CONTROL), FW_DROPS);
	assert_non_null(strstr(rule, "--dport 1723 -j REJECT"));
	assert_int_equal(tables(first, FW_GRE), FW_DROPS);
	assert_string_equal(rule, "-A INPUT ! -p udp -j DROP");
}

static void
a_rule_not_understood_leaves_it_open(void **state)
{
	(void)state;
	assert_int_equal(tables(":INPUT DROP [0:0]\n"
	    "-A INPUT -s 192.0.2.0/24 -j ACCEPT\n", FW_GRE), FW_UNSURE);
	assert_int_equal(tables(":INPUT DROP [0:0]\n"
	    "-A INPUT -i eth0 -j ACCEPT\n", FW_CONTROL), FW_UNSURE);
	assert_int_equal(tables(":INPUT ACCEPT [0:0]\n"
	    "-A INPUT -m recent --update -j DROP\n", FW_CONTROL), FW_PASSES);
}

static void
chains_are_followed(void **state)
{
	static const char chains[] = ":INPUT DROP [0:0]\n"
	    ":ufw-in - [0:0]\n:vpn - [0:0]\n"
	    "-A INPUT -j LOG --log-prefix \"in \"\n"
	    "-A INPUT -j ufw-in\n"
	    "-A ufw-in -p tcp -j vpn\n"
	    "-A ufw-in -p 47 -j RETURN\n"
	    "-A ufw-in -j ACCEPT\n"
	    "-A vpn -p tcp -m tcp --dport 1723 -j ACCEPT\n";

	(void)state;
	assert_int_equal(tables(chains, FW_CONTROL), FW_PASSES);
	assert_int_equal(tables(chains, FW_GRE), FW_DROPS);
	assert_int_not_equal(tables(":INPUT DROP [0:0]\n:a - [0:0]\n"
	    "-A INPUT -j a\n-A a -j a\n", FW_GRE), FW_PASSES);
}

static enum fw_verdict
nft(const char *rules, enum fw_packet packet)
{
	char set[2048] = "table inet filter {\n\tchain input {\n";

	strcat(set, rules);
	strcat(set, "\t}\n\tchain out {\n\t\ttype filter hook output priority "
	    "filter; policy drop;\n\t}\n}\n");
	return fw_nft(set, packet, rule);
}

#define HOOK(policy) "\t\ttype filter hook input priority filter; policy " \
    policy ";\n"

static void
nft_chains_are_judged(void **state)
{
	(void)state;
	assert_int_equal(fw_nft("", FW_GRE, rule), FW_PASSES);
	assert_int_equal(nft(HOOK("accept"), FW_GRE), FW_PASSES);
	assert_int_equal(nft(HOOK("accept") "\t\ttcp dport 1723 drop\n",
	    FW_CONTROL), FW_DROPS);
	assert_string_equal(rule, "tcp dport 1723 drop");
	assert_int_equal(nft(HOOK("drop") "\t\tiif \"lo\" accept\n"
	    "\t\tct state established,related accept\n"
	    "\t\ttcp dport 22 accept\n"
	    "\t\ttcp dport 1723 accept\n", FW_CONTROL), FW_PASSES);
	assert_int_equal(nft(HOOK("drop") "\t\tiif \"lo\" accept\n"
	    "\t\tct state established,related accept\n"
	    "\t\ttcp dport 1723 accept\n", FW_GRE), FW_DROPS);
	assert_string_equal(rule, "policy drop of chain input ");
	assert_int_equal(nft(HOOK("drop") "\t\tip protocol gre accept\n",
	    FW_GRE), FW_PASSES);
	assert_int_equal(nft(HOOK("drop") "\t\ttcp dport { 22, 1723 } accept\n",
	    FW_CONTROL), FW_PASSES);
	assert_int_equal(nft(HOOK("drop") "\t\ttcp dport 22 accept\n",
	    FW_CONTROL), FW_DROPS);
	assert_int_equal(nft(HOOK("drop") "\t\tip saddr 192.0.2.0/24 accept\n",
	    FW_CONTROL), FW_PASSES);
	assert_int_equal(nft(HOOK("accept") "\t\tjump services\n\t\tdrop\n",
	    FW_CONTROL), FW_PASSES);
	assert_int_equal(nft(HOOK("accept") "\t\tdrop\n", FW_CONTROL),
	    FW_DROPS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_filter_lets_all_in),
		cmocka_unit_test(a_policy_drops_what_no_rule_takes),
		cmocka_unit_test(the_first_rule_that_fits_decides),
		cmocka_unit_test(a_rule_not_understood_leaves_it_open),
		cmocka_unit_test(chains_are_followed),
		cmocka_unit_test(nft_chains_are_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
