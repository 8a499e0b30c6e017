/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/batch.h"

#include <errno.h>
#include <string.h>

#include "net/flow.h"

void
tx_add(struct tx_batch *tx, struct flow *f, uint8_t *packet, size_t len)
{
	unsigned i = tx->n++;
	struct msghdr *mh = &tx->msg[i].msg_hdr;
	struct in_pktinfo info = { .ipi_spec_dst = f->own };
	struct cmsghdr *cm;

	tx->flow[i] = f;
	tx->iov[i].iov_base = packet;
	tx->iov[i].iov_len = len;
	tx->to[i].sin_family = AF_INET;
	tx->to[i].sin_addr = f->peer;
	memset(mh, 0, sizeof(*mh));
	mh->msg_name = &tx->to[i];
	mh->msg_namelen = sizeof(tx->to[i]);
	mh->msg_iov = &tx->iov[i];
	mh->msg_iovlen = 1;
	/* Leave from the address that the client talks to. */
	mh->msg_control = tx->control[i].buf;
	mh->msg_controllen = sizeof(tx->control[i].buf);
	cm = CMSG_FIRSTHDR(mh);
	cm->cmsg_level = IPPROTO_IP;
	cm->cmsg_type = IP_PKTINFO;
	cm->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(cm), &info, sizeof(info));
}

void
tx_send(struct tx_batch *tx, int fd)
{
	unsigned sent = 0;

	while (sent < tx->n) {
		int n = sendmmsg(fd, tx->msg + sent, tx->n - sent,
		    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			sent += (unsigned)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		/* ICMP errors, a full queue, a firewall's EPERM, EMSGSIZE:
		 * this packet is lost, the call is not. */
		flow_count_unsent(tx->flow[sent]);
		sent++;
	}
	tx->n = 0;
}
