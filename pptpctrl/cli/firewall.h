/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Would this host's packet filter drop a client's first packets?  Judges the
 * text that iptables-save and "nft list ruleset" print.  A hint, not a proof:
 * it says "drops" only where every rule on the way was understood.
 */
#ifndef CLI_FIREWALL_H
#define CLI_FIREWALL_H

#include <stddef.h>

enum fw_packet {
	FW_CONTROL,		/* TCP to port 1723, a new connection */
	FW_GRE,			/* IP protocol 47 of a client not seen yet */
};

enum fw_verdict {
	FW_PASSES,
	FW_DROPS,
	FW_UNSURE,		/* a rule that may decide was not understood */
};

#define FW_RULE_MAX	256

/*
 * What chain INPUT of iptables-save's text does with the packet.  On FW_DROPS
 * rule is the rule, or the chain's policy; *ret_related says whether some
 * rule would have let it in as RELATED.  Neither is touched otherwise.
 */
enum fw_verdict fw_iptables(const char *save, enum fw_packet packet,
    char rule[static FW_RULE_MAX], int *ret_related);

/*
 * Does a chain of nft's ruleset that hooks input drop it?  FW_DROPS only for
 * a rule that names it and drops, or for a policy where no rule accepts it,
 * everything, or something that was not understood.
 */
enum fw_verdict fw_nft(const char *ruleset, enum fw_packet packet,
    char rule[static FW_RULE_MAX]);

#endif
