/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/flow.h"

#include <string.h>

const char *const flow_drop_names[DROP_KINDS] = {
	"short", "plaintext", "oversize", "protocol", "mppe", "late",
	"duplicate", "far", "no-buffer", "from-pppd", "send", "login",
};

void
flow_init(struct flow *f, uint16_t own_id, uint16_t peer_id,
    struct in_addr peer, struct in_addr own)
{
	memset(f, 0, sizeof(*f));
	f->own_id = own_id;
	f->peer_id = peer_id;
	f->peer = peer;
	f->own = own;
	gre_flow_init(&f->gre);
	reorder_init(&f->reorder);
	pppfilter_init(&f->filter);
	pppout_init(&f->out);
	channel_init(&f->channel);
	f->live = &f->own_live;
}

void
flow_keep_numbers(struct flow *f)
{
	struct flow_live *live = f->live;

	live->rx_expected = f->reorder.expected;
	live->rx_high = f->gre.rx_high;
	live->flags = f->reorder.started ? FLOW_LIVE_RX : 0;
	live->mppe = pppfilter_word(&f->filter);
	live->rx_frames = f->counts.rx_frames;
	live->rx_bytes = f->counts.rx_bytes;
}

void
flow_count_unsent(struct flow *f)
{
	__atomic_fetch_add(&f->counts.drop[DROP_SEND], 1, __ATOMIC_RELAXED);
}

void
flow_set_live(struct flow *f, struct flow_live *live, uint32_t key,
    bool resume)
{
	f->live = live;
	f->key = key;
	if (!resume) {
		live->tx_next = f->gre.tx_next;
		live->tx_frames = f->counts.tx_frames;
		live->tx_bytes = f->counts.tx_bytes;
		flow_keep_numbers(f);
		return;
	}
	gre_flow_resume(&f->gre, live->tx_next, live->flags & FLOW_LIVE_RX,
	    live->rx_high);
	if (live->flags & FLOW_LIVE_RX)
		reorder_resume(&f->reorder, live->rx_expected);
	pppfilter_resume(&f->filter, live->mppe);
	f->counts.rx_frames = live->rx_frames;
	f->counts.rx_bytes = live->rx_bytes;
	f->counts.tx_frames = live->tx_frames;
	f->counts.tx_bytes = live->tx_bytes;
}
