/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/msg.h"

#include "proto/wire.h"

/*
 * One description of each layout serves both directions: with encode set the
 * io_* functions write what their argument holds, else they fill it.
 */
struct io {
	bool encode;
	bool reserved;		/* decoding met a reserved field not 0 */
	struct rd r;
	struct wr w;
};

static void
io_u8(struct io *io, uint8_t *v)
{
	if (io->encode)
		wr_u8(&io->w, *v);
	else
		*v = rd_u8(&io->r);
}

static void
io_u16(struct io *io, uint16_t *v)
{
	if (io->encode)
		wr_u16(&io->w, *v);
	else
		*v = rd_u16(&io->r);
}

static void
io_u32(struct io *io, uint32_t *v)
{
	if (io->encode)
		wr_u32(&io->w, *v);
	else
		*v = rd_u32(&io->r);
}

static void
io_bytes(struct io *io, char *v, size_t n)
{
	uint8_t *to;
	const uint8_t *from;

	if (io->encode) {
		to = wr_bytes(&io->w, n);
		if (to)
			memcpy(to, v, n);
	} else {
		from = rd_bytes(&io->r, n);
		if (from)
			memcpy(v, from, n);
	}
}

static void
io_reserved(struct io *io, size_t n)
{
	if (io->encode) {
		wr_zero(&io->w, n);
		return;
	}
	while (n-- > 0)
		io->reserved |= rd_u8(&io->r) != 0;
}

static void
io_sccrq(struct io *io, struct msg_scc *m)
{
	io_u16(io, &m->version);
	io_reserved(io, 2);
	io_u32(io, &m->framing);
	io_u32(io, &m->bearer);
	io_u16(io, &m->max_channels);
	io_u16(io, &m->firmware);
	io_bytes(io, m->host, sizeof(m->host));
	io_bytes(io, m->vendor, sizeof(m->vendor));
}

static void
io_sccrp(struct io *io, struct msg_scc *m)
{
	io_u16(io, &m->version);
	io_u8(io, &m->result);
	io_u8(io, &m->error);
	io_u32(io, &m->framing);
	io_u32(io, &m->bearer);
	io_u16(io, &m->max_channels);
	io_u16(io, &m->firmware);
	io_bytes(io, m->host, sizeof(m->host));
	io_bytes(io, m->vendor, sizeof(m->vendor));
}

static void
io_stopccrq(struct io *io, struct msg_stopccrq *m)
{
	io_u8(io, &m->reason);
	io_reserved(io, 3);
}

static void
io_stopccrp(struct io *io, struct msg_stopccrp *m)
{
	io_u8(io, &m->result);
	io_u8(io, &m->error);
	io_reserved(io, 2);
}

static void
io_echorp(struct io *io, struct msg_echorp *m)
{
	io_u32(io, &m->id);
	io_u8(io, &m->result);
	io_u8(io, &m->error);
	io_reserved(io, 2);
}

static void
io_ocrq(struct io *io, struct msg_ocrq *m)
{
	io_u16(io, &m->call_id);
	io_u16(io, &m->serial);
	io_u32(io, &m->min_bps);
	io_u32(io, &m->max_bps);
	io_u32(io, &m->bearer);
	io_u32(io, &m->framing);
	io_u16(io, &m->window);
	io_u16(io, &m->delay);
	io_u16(io, &m->phone_len);
	io_reserved(io, 2);
	io_bytes(io, m->phone, sizeof(m->phone));
	io_bytes(io, m->subaddress, sizeof(m->subaddress));
}

static void
io_ocrp(struct io *io, struct msg_ocrp *m)
{
	io_u16(io, &m->call_id);
	io_u16(io, &m->peer_id);
	io_u8(io, &m->result);
	io_u8(io, &m->error);
	io_u16(io, &m->cause);
	io_u32(io, &m->speed);
	io_u16(io, &m->window);
	io_u16(io, &m->delay);
	io_u32(io, &m->channel);
}

static void
io_icrq(struct io *io, struct msg_icrq *m)
{
	io_u16(io, &m->call_id);
	io_u16(io, &m->serial);
	io_u32(io, &m->bearer);
	io_u32(io, &m->channel);
	io_u16(io, &m->dialed_len);
	io_u16(io, &m->dialing_len);
	io_bytes(io, m->dialed, sizeof(m->dialed));
	io_bytes(io, m->dialing, sizeof(m->dialing));
	io_bytes(io, m->subaddress, sizeof(m->subaddress));
}

static void
io_icrp(struct io *io, struct msg_icrp *m)
{
	io_u16(io, &m->call_id);
	io_u16(io, &m->peer_id);
	io_u8(io, &m->result);
	io_u8(io, &m->error);
	io_u16(io, &m->window);
	io_u16(io, &m->delay);
	io_reserved(io, 2);
}

static void
io_iccn(struct io *io, struct msg_iccn *m)
{
	io_u16(io, &m->peer_id);
	io_reserved(io, 2);
	io_u32(io, &m->speed);
	io_u16(io, &m->window);
	io_u16(io, &m->delay);
	io_u32(io, &m->framing);
}

static void
io_ccr(struct io *io, struct msg_ccr *m)
{
	io_u16(io, &m->call_id);
	io_reserved(io, 2);
}

static void
io_cdn(struct io *io, struct msg_cdn *m)
{
	io_u16(io, &m->call_id);
	io_u8(io, &m->result);
	io_u8(io, &m->error);
	io_u16(io, &m->cause);
	io_reserved(io, 2);
	io_bytes(io, m->stats, sizeof(m->stats));
}

static void
io_wen(struct io *io, struct msg_wen *m)
{
	io_u16(io, &m->peer_id);
	io_reserved(io, 2);
	io_u32(io, &m->crc);
	io_u32(io, &m->framing);
	io_u32(io, &m->hardware);
	io_u32(io, &m->overrun);
	io_u32(io, &m->timeout);
	io_u32(io, &m->alignment);
}

static void
io_sli(struct io *io, struct msg_sli *m)
{
	io_u16(io, &m->peer_id);
	io_reserved(io, 2);
	io_u32(io, &m->send_accm);
	io_u32(io, &m->recv_accm);
}

static void
io_body(struct io *io, struct msg *m)
{
	switch (m->type) {
	case MSG_SCCRQ:		io_sccrq(io, &m->scc); break;
	case MSG_SCCRP:		io_sccrp(io, &m->scc); break;
	case MSG_STOPCCRQ:	io_stopccrq(io, &m->stopccrq); break;
	case MSG_STOPCCRP:	io_stopccrp(io, &m->stopccrp); break;
	case MSG_ECHORQ:	io_u32(io, &m->echorq.id); break;
	case MSG_ECHORP:	io_echorp(io, &m->echorp); break;
	case MSG_OCRQ:		io_ocrq(io, &m->ocrq); break;
	case MSG_OCRP:		io_ocrp(io, &m->ocrp); break;
	case MSG_ICRQ:		io_icrq(io, &m->icrq); break;
	case MSG_ICRP:		io_icrp(io, &m->icrp); break;
	case MSG_ICCN:		io_iccn(io, &m->iccn); break;
	case MSG_CCR:		io_ccr(io, &m->ccr); break;
	case MSG_CDN:		io_cdn(io, &m->cdn); break;
	case MSG_WEN:		io_wen(io, &m->wen); break;
	case MSG_SLI:		io_sli(io, &m->sli); break;
	}
}

size_t
msg_len(uint16_t type)
{
	static const uint8_t len[] = {
		[MSG_SCCRQ] = 156, [MSG_SCCRP] = 156,
		[MSG_STOPCCRQ] = 16, [MSG_STOPCCRP] = 16,
		[MSG_ECHORQ] = 16, [MSG_ECHORP] = 20,
		[MSG_OCRQ] = 168, [MSG_OCRP] = 32,
		[MSG_ICRQ] = 220, [MSG_ICRP] = 24, [MSG_ICCN] = 28,
		[MSG_CCR] = 16, [MSG_CDN] = 148, [MSG_WEN] = 40,
		[MSG_SLI] = 24,
	};

	return type < sizeof(len) ? len[type] : 0;
}

bool
msg_decode(const uint8_t *buf, size_t len, struct msg *ret)
{
	struct io io = { .r = { .p = buf, .left = len } };
	struct msg m = { .reserved = false };
	uint16_t said = rd_u16(&io.r);
	uint16_t control = rd_u16(&io.r);
	uint32_t cookie = rd_u32(&io.r);
	uint16_t type = rd_u16(&io.r);

	if (said != len || len != msg_len(type) || control != MSG_CONTROL ||
	    cookie != MSG_COOKIE)
		return false;
	m.type = (enum msg_type)type;
	io_reserved(&io, 2);
	io_body(&io, &m);
	m.reserved = io.reserved;
	*ret = m;
	return true;
}

size_t
msg_encode(const struct msg *m, uint8_t *buf, size_t size)
{
	struct io io = { .encode = true, .w = { .p = buf, .left = size } };
	struct msg copy = *m;		/* io_* want to be able to fill it */
	uint16_t type = (uint16_t)m->type;
	size_t len = msg_len(type);

	if (len == 0 || size < len)
		return 0;
	wr_u16(&io.w, (uint16_t)len);
	wr_u16(&io.w, MSG_CONTROL);
	wr_u32(&io.w, MSG_COOKIE);
	wr_u16(&io.w, type);
	wr_zero(&io.w, 2);
	io_body(&io, &copy);
	return len;
}
