/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One control connection as its server: the control-connection machine of
 * RFC 2637 section 3.1 (receiver) and, through call.h, the calls on it
 * (section 3.2.4, PAC).  Takes whole messages, answers from the rest of the
 * server, and time; returns a list of actions to be done in order.
 *
 * Pure: no system calls, no allocation, no clock, no log.  Times are
 * milliseconds of one monotonic clock, never 0.
 */
#ifndef PROTO_CTRL_H
#define PROTO_CTRL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/call.h"

#define CTRL_MAX_CALLS	4u
#define CTRL_NAME_LEN	64u
#define CTRL_ACTS_MAX	24u
#define CTRL_ACTS_BYTES	1536u

/* Limits, all in milliseconds or counts.  Borrowed: outlives the ctrl. */
struct ctrl_conf {
	uint32_t sccrq_ms;	/* TCP open to SCCRQ (10 000) */
	uint32_t partial_ms;	/* a message begun must end (10 000) */
	uint32_t idle_ms;	/* established without a call (30 000) */
	uint32_t echo_ms;	/* silence before we send Echo-Request (60 000) */
	uint32_t echo_wait_ms;	/* and for its answer (60 000) */
	uint32_t start_ms;	/* OCRP to pppd when the client is mute (1 000) */
	uint32_t setup_ms;	/* OCRP to network up (60 000) */
	uint32_t stop_ms;	/* StopCCRQ sent to close, CDN at the latest (3 000) */
	uint32_t max_calls;	/* on one connection, <= CTRL_MAX_CALLS */
	uint32_t calls_per_minute;	/* OCRQs on one connection (10) */
	uint32_t msg_rate, msg_burst;	/* messages per second (50, 100) */
	uint32_t echo_rate;	/* Echo-Requests per second (10) */
};

/* The defaults in brackets above. */
void ctrl_conf_init(struct ctrl_conf *conf);

enum ctrl_state {
	CTRL_WAIT_SCCRQ,	/* nothing but SCCRQ is legal */
	CTRL_ESTABLISHED,
	CTRL_WAIT_STOP,		/* we sent StopCCRQ; CTRL_ACT_CLOSE follows */
	CTRL_CLOSED,		/* CTRL_ACT_CLOSE was given; ignores messages,
				 * still reports the ends of its calls */
};

enum ctrl_act_type {
	/* Send buf[off..off+len), one whole message, in one write of its own
	 * (NAT helpers look only at the first message of a segment). */
	CTRL_ACT_SEND,
	/* Get a channel and an address for call[slot]; answer with
	 * ctrl_opened. */
	CTRL_ACT_OPEN,
	/* Start pppd for call[slot]; arg 1: its first GRE frame is here. */
	CTRL_ACT_START,
	/* End call[slot], whose .end says why: SIGTERM to pppd if there is
	 * one, give the channel back; answer with ctrl_exited.  arg 1: the
	 * client is gone or has hung up, so the relay answers pppd's LCP
	 * Terminate-Request. */
	CTRL_ACT_STOP,
	/* call[slot] is over and forgotten by the machine: log it, free what
	 * hangs on it.  The slot's contents stay readable until the next
	 * ctrl_* call. */
	CTRL_ACT_FREE,
	/* Flush what was sent, then close the connection.  Last action. */
	CTRL_ACT_CLOSE,
	/* Something for the log or a counter: note, arg. */
	CTRL_ACT_NOTE,
};

enum ctrl_note {
	CTRL_NOTE_ESTABLISHED,	/* peer_host, peer_vendor are known */
	CTRL_NOTE_BAD_MESSAGE,	/* arg: type; connection is closed */
	CTRL_NOTE_UNEXPECTED,	/* arg: type; ignored, or only answered */
	CTRL_NOTE_OLD_VERSION,	/* arg: version; refused */
	CTRL_NOTE_CALL_ID,	/* arg: id that no call has; ignored */
	CTRL_NOTE_RATE,		/* too many messages: closed */
	CTRL_NOTE_TIMEOUT_SCCRQ,
	CTRL_NOTE_TIMEOUT_PARTIAL,
	CTRL_NOTE_TIMEOUT_IDLE,	/* no call for too long */
	CTRL_NOTE_TIMEOUT_ECHO,
	CTRL_NOTE_REFUSED,	/* arg: OCRP result; call refused here */
	CTRL_NOTE_RESERVED,	/* arg: type; non-zero reserved field, accepted */
};

struct ctrl_act {
	enum ctrl_act_type type;
	enum ctrl_note note;
	uint8_t slot;
	uint32_t arg;
	size_t off, len;
};

/* Filled by the ctrl_* functions, which append; start with n = used = 0.
 * The sizes hold the most that one call of them can produce: empty it
 * between two. */
struct ctrl_acts {
	struct ctrl_act act[CTRL_ACTS_MAX];
	size_t n;
	uint8_t buf[CTRL_ACTS_BYTES];
	size_t used;
};

struct ctrl {			/* read, do not write */
	const struct ctrl_conf *conf;
	enum ctrl_state state;
	struct call call[CTRL_MAX_CALLS];
	uint64_t deadline_state;	/* SCCRQ, idle or stop; 0: none */
	uint64_t deadline_partial;	/* 0: no partial message */
	uint64_t last_heard;	/* any message */
	uint64_t echo_due;	/* answer to our Echo-Request; 0: none sent */
	uint32_t echo_id;
	uint32_t echo_chance;	/* ctrl_spread's; 0: as late as it may be */
	uint64_t msg_tokens_at, echo_tokens_at;
	uint64_t msg_tokens, echo_tokens;	/* thousandths */
	uint64_t minute_began;
	uint32_t minute_calls;
	enum call_end closing;		/* ctrl_shutdown's why */
	uint16_t peer_version, peer_firmware;
	char peer_host[CTRL_NAME_LEN + 1];	/* as sent: escape to log */
	char peer_vendor[CTRL_NAME_LEN + 1];
};

void ctrl_init(struct ctrl *c, const struct ctrl_conf *conf, uint64_t now_ms);

/*
 * Send Echo-Requests up to a tenth of echo_ms earlier, by chance (any number):
 * connections that fell silent together are not all asked together.
 */
void ctrl_spread(struct ctrl *c, uint32_t chance);

/* A connection of which nothing is known any more but that it stands: it can
 * only be ended in order, with ctrl_shutdown. */
void ctrl_init_forgotten(struct ctrl *c, const struct ctrl_conf *conf,
    uint64_t now_ms);

/* Can c, read back from memory that another process wrote, be gone on with?
 * Sets its conf. */
bool ctrl_resume(struct ctrl *c, const struct ctrl_conf *conf);

/* One whole message msg[0..len), as frame_next cut it. */
void ctrl_input(struct ctrl *c, const uint8_t *msg, size_t len,
    uint64_t now_ms, struct ctrl_acts *out);

/* frame_next said FRAME_DESYNC: close without an answer. */
void ctrl_desync(struct ctrl *c, uint64_t now_ms, struct ctrl_acts *out);

/* After each read: is a message begun but not whole? */
void ctrl_partial(struct ctrl *c, bool pending, uint64_t now_ms);

/* The TCP connection ended (EOF, reset, write error, write timeout). */
void ctrl_hangup(struct ctrl *c, enum call_end why, uint64_t now_ms,
    struct ctrl_acts *out);

/* Answer to CTRL_ACT_OPEN; own_id (never 0) counts only for CALL_OPENED. */
void ctrl_opened(struct ctrl *c, unsigned slot, enum call_open_result result,
    uint16_t own_id, uint64_t now_ms, struct ctrl_acts *out);

/* The first GRE data frame for this call arrived. */
void ctrl_gre(struct ctrl *c, unsigned slot, uint64_t now_ms,
    struct ctrl_acts *out);

/* pppd says that the network is up. */
void ctrl_up(struct ctrl *c, unsigned slot, uint64_t now_ms);

/*
 * pppd and the channel are gone: the answer to CTRL_ACT_STOP, or unasked
 * (then why says whose fault: CALL_END_PPPD, CALL_END_LOST, ...).  For a call
 * still being opened the same as ctrl_opened with CALL_OPEN_NO_RESOURCE.
 */
void ctrl_exited(struct ctrl *c, unsigned slot, enum call_end why,
    uint64_t now_ms, struct ctrl_acts *out);

/* End one call from our side (CALL_END_ADMIN, ...). */
void ctrl_terminate(struct ctrl *c, unsigned slot, enum call_end why,
    uint64_t now_ms, struct ctrl_acts *out);

/* End all calls and the connection from our side (CALL_END_SHUTDOWN, ...). */
void ctrl_shutdown(struct ctrl *c, enum call_end why, uint64_t now_ms,
    struct ctrl_acts *out);

/* Time passed: call when ctrl_deadline is reached; early calls are harmless. */
void ctrl_tick(struct ctrl *c, uint64_t now_ms, struct ctrl_acts *out);

/* When ctrl_tick must be called next; UINT64_MAX for never. */
uint64_t ctrl_deadline(const struct ctrl *c);

/* No call left and closed: the ctrl can be thrown away. */
bool ctrl_done(const struct ctrl *c);

#endif
