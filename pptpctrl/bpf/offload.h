/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the programs of offload.bpf.c, the launcher and the relay share: the
 * contents of their maps.  Indexed by our call id, 0 is no call.
 */
#ifndef BPF_OFFLOAD_H
#define BPF_OFFLOAD_H

#include <linux/types.h>

#define OFFLOAD_CALLS	65536
#define OFFLOAD_LAYOUT	1	/* of the maps: raise it when one changes */

/* One for all; the launcher's alone.  Addresses, ports and ids of headers
 * are in network order. */
struct offload_dev {
	__u32 ifindex;		/* our device */
	__u32 near, far;	/* the kernel's end has near; far nobody */
	__u16 kernel_port, relay_port;
	__u16 tunnel;
	__u16 paused;		/* nothing is forwarded for now */
	__u8 mac[6];		/* the device's */
	__u16 layout;		/* OFFLOAD_LAYOUT */
};

/* A call; the launcher's alone, so that the worker, who can write the state
 * below, cannot make the kernel send anywhere else. */
struct offload_call {
	__u32 peer, own;	/* peer 0: not in use */
	__u32 ifindex;		/* towards peer; 0: user space sends */
	__u32 mtu;
	__u16 peer_call;	/* network order */
	__u16 reserved;
};

/*
 * A call's numbers; the worker's, too.
 *
 * From the peer: word has one owner, with OFFLOAD_FAST the ingress program,
 * which moves it by compare and exchange, without it the worker.
 *
 * To the peer: a call's frames leave the tunnel one after another.  While out
 * has OFFLOAD_OUT_FAST the egress program numbers and sends them.  A frame
 * that it may not send goes to the worker and ends that, so that what follows
 * cannot overtake it; the worker sets it again, by compare and exchange, once
 * it has sent all that went to it.
 */
struct offload_state {
	__u64 word;
	__u32 started;		/* the worker has given the call once */
	__u32 out;		/* by OFFLOAD_OUT_FRAME: frames that went to
				 * the worker; and OFFLOAD_OUT_FAST */
	__u32 out_seen;		/* those that the worker has got */
	__u32 tx_next;		/* GRE number of the next frame to the peer;
				 * add to it atomically */
	__u32 acked;		/* last number acknowledged to the peer */
	__u32 delta;		/* frame n has MPPE's count n + delta */
	__u16 protocol;		/* the one data protocol that is forwarded */
	__u16 check_count;
	__u32 tx_frames;	/* counts of what was forwarded */
	__u64 tx_bytes, rx_bytes;
	__u64 last_in;		/* ns, monotonic: of the newest forwarded */
	__u32 late;		/* dropped: of the near past */
	__u32 arrived;		/* the frame that reached the tunnel last: the
				 * low half of its number, plus 1.  Of call 0:
				 * how many of user space's */
	/* Which of these counts the worker has entered in its own. */
	__u64 tx_bytes_seen, rx_bytes_seen;
	__u32 tx_frames_seen, late_seen;
	/* Of call 0, the launcher's. */
	__u32 cpus;
	__u32 falls;		/* how often the device was found shut */
};

/* word: the expected number; the CPU that forwards; who owns it. */
#define OFFLOAD_EXPECTED(word)	((__u32)(word))
#define OFFLOAD_CPU(word)	((__u32)((word) >> 32) & 0xffffu)
#define OFFLOAD_NO_CPU		0xffffu	/* none has yet */
#define OFFLOAD_FAST		(1ull << 48)
/* Late frames are for user space, which learns from them. */
#define OFFLOAD_LEARN		(1ull << 49)
#define OFFLOAD_WORD(expected, cpu, flags) \
	((__u64)(__u32)(expected) | (__u64)((cpu) & 0xffffu) << 32 | (flags))

#define OFFLOAD_OUT_FAST	1u
#define OFFLOAD_OUT_FRAME	2u

/* After so long a CPU is done with a frame that it took, or never will be. */
#define OFFLOAD_SETTLE_US	20000u

#endif
