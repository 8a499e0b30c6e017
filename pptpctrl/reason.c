/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reason.h"

#include <stdio.h>
#include <sys/wait.h>

#include "plugin/event.h"

const char *
reason_pppd(int status)
{
	static const char *const text[] = {
		[0] = "pppd ended normally",
		[1] = "pppd met a fatal error (see pppd's own log lines)",
		[2] = "pppd refused its options (see pppd's own log lines)",
		[3] = "pppd was not started as root",
		[4] = "the kernel lacks PPP support that pppd needs",
		[5] = "ended by a signal to pppd",
		[6] = "pppd could not lock its device",
		[7] = "pppd could not open its device",
		[8] = "pppd could not use its channel",
		[9] = "pppd's pty command failed",
		[10] = "PPP negotiation failed",
		[11] = "authentication failed",
		[12] = "idle for too long",
		[13] = "connect time limit reached",
		[14] = "call-back was negotiated",
		[15] = "the client no longer answers LCP echo requests",
		[16] = "the client hung up",
		[17] = "the line is looped back",
		[18] = "pppd's init script failed",
		[19] = "the client did not accept our authentication",
		[20] = "traffic limit reached",
		[21] = "caller number not accepted",
	};

	if (status < 0 || (size_t)status >= sizeof(text) / sizeof(text[0]))
		return "pppd ended with an unknown status";
	return text[status];
}

int
reason_status(int wait_status, int plugin_status)
{
	if (WIFSIGNALED(wait_status))
		return -1;
	/* At the very end pppd often overwrites its status with 16. */
	if (plugin_status > 0)
		return plugin_status;
	return WEXITSTATUS(wait_status);
}

const char *
reason_exit(char *buf, size_t size, int wait_status, int plugin_status)
{
	int status = reason_status(wait_status, plugin_status);

	if (status < 0)
		snprintf(buf, size, "pppd was killed by signal %d%s",
		    WTERMSIG(wait_status), WTERMSIG(wait_status) == 9 ?
		    ", its ip-down script did not run" : "");
	else
		snprintf(buf, size, "%s (pppd status %d)",
		    reason_pppd(status), status);
	return buf;
}

const char *
reason_auth(uint32_t auth)
{
	switch ((enum ev_auth)auth) {
	case EV_AUTH_NONE:
		break;
	case EV_AUTH_PAP:
		return "PAP";
	case EV_AUTH_CHAP_MD5:
		return "CHAP-MD5";
	case EV_AUTH_MSCHAP:
		return "MS-CHAPv1";
	case EV_AUTH_MSCHAPV2:
		return "MS-CHAPv2";
	case EV_AUTH_EAP:
		return "EAP";
	}
	return "no authentication";
}

const char *
reason_mppe(uint32_t flags)
{
	int stateful = (flags & EV_F_MPPE_STATEFUL) != 0;

	if (flags & EV_F_MPPE_128)
		return stateful ? "MPPE-128 stateful" : "MPPE-128 stateless";
	if (flags & EV_F_MPPE_56)
		return stateful ? "MPPE-56 stateful" : "MPPE-56 stateless";
	if (flags & EV_F_MPPE_40)
		return stateful ? "MPPE-40 stateful" : "MPPE-40 stateless";
	return "no encryption";
}
