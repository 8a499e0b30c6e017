/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any packet at the raw socket; then the rest as a life of one gre_flow. */
#undef NDEBUG
#include <assert.h>
#include <string.h>

#include "proto/gre.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
packet(const uint8_t *data, size_t size)
{
	struct gre_pkt pkt;
	uint8_t hdr[GRE_HDR_MAX];
	size_t len;

	if (gre_parse(data, size, &pkt) != GRE_OK)
		return;
	assert(pkt.payload >= data + GRE_HDR_MIN);
	assert(pkt.payload + pkt.payload_len <= data + size);
	assert(pkt.has_seq || pkt.payload_len == 0);
	len = gre_build(hdr, &pkt);
	assert(len == (size_t)(pkt.payload - data));
	assert(memcmp(hdr, data, len) == 0);
}

static void
flow(const uint8_t *data, size_t size)
{
	struct gre_flow f;
	struct gre_pkt pkt;
	uint64_t now = 1;
	uint32_t sent = 0, owed = 0;

	gre_flow_init(&f);
	for (; size >= 5; data += 5, size -= 5) {
		uint32_t v;

		memcpy(&v, data + 1, 4);
		switch (data[0] % 5) {
		case 0:
			gre_flow_acked(&f, v);
			assert(!f.peer_acked_any || f.peer_acked < sent);
			break;
		case 1:
			gre_flow_received(&f, v, now);
			owed++;
			assert(gre_flow_deadline(&f) != 0 &&
			    gre_flow_deadline(&f) <= now + GRE_ACK_DELAY_US);
			break;
		case 2:
			gre_flow_send(&f, &pkt);
			assert(pkt.has_seq && pkt.seq == sent++);
			assert(pkt.has_ack == (owed > 0));
			owed = 0;
			break;
		case 3:
			now += v % 300000;
			if (gre_flow_lone_ack(&f, &pkt, now)) {
				assert(owed > 0 && pkt.payload_len == 0);
				owed = 0;
			}
			assert(owed < GRE_ACK_EVERY);
			break;
		default:
			gre_flow_rebase(&f);
		}
		assert((gre_flow_deadline(&f) != 0) == (owed > 0));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t src, dst;
	const uint8_t *gre;
	size_t len;

	packet(data, size);
	if (gre_strip_ip(data, size, &src, &dst, &gre, &len)) {
		assert(gre >= data + 20 && gre + len <= data + size);
		packet(gre, len);
	}
	flow(data, size);
	return 0;
}
