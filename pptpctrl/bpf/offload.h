/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the programs of offload.bpf.c, the launcher and the relay share: the
 * contents of their maps.  Indexed by our call id, 0 is no call.
 */
#ifndef BPF_OFFLOAD_H
#define BPF_OFFLOAD_H

#include <linux/types.h>

#define OFFLOAD_CALLS	65536
#define OFFLOAD_HOMES	1024	/* CPUs from 1023 on get no call */
#define OFFLOAD_LAYOUT	3	/* of the maps: raise it when one changes */

/* One for all; the launcher's alone.  Addresses, ports and ids of headers
 * are in network order. */
struct offload_dev {
	__u32 ifindex;		/* our device */
	__u32 near, far;	/* the kernel's end has near; far nobody */
	__u16 kernel_port, relay_port;
	__u16 tunnel;
	__u16 paused;		/* nothing is forwarded for now */
	__u16 layout;		/* OFFLOAD_LAYOUT */
	/* By number of a CPU + 1: the hash whose queue it has, or 0: none. */
	__u32 home_hash[OFFLOAD_HOMES];
};

/* A call; the launcher's alone, so that the worker, who can write the state
 * below, cannot make the kernel send anywhere else. */
struct offload_call {
	__u32 peer, own;	/* peer 0: not in use */
	__u32 ifindex;		/* towards peer; 0: user space sends */
	__u32 next;		/* hop towards peer; 0: of another family */
	__u32 mtu;
	__u32 hash;		/* whose queue it is in at home 0, and
				 * that of frames to the worker */
	__u16 peer_call;	/* network order */
	__u16 home;		/* number of that CPU + 1 */
};

/*
 * A call's numbers; the worker's, too.
 *
 * From the peer: word has one owner, with OFFLOAD_FAST the program, which
 * moves it by compare and exchange, without it the worker.  What either passes
 * to the tunnel goes through one queue of one CPU, the call's home, in which
 * the program decides: so a frame of the one cannot overtake one of the other
 * that was queued before it.  While the program owns the word, home changes:
 * after a silence it is the CPU at which the next frame comes, which so needs
 * no other; that of a call whose frames come at several CPUs is the one that
 * the launcher chose, that all have as many calls.  The frame with which that
 * one begins goes through the old queue before it goes through the new one.
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
	__u32 arrived;		/* the worker's frames that reached the
				 * tunnel */
	__u32 after;		/* no frame is forwarded before so many have */
	__u32 falls;		/* of call 0, the launcher's: how often the
				 * device was found shut */
	__u32 tick;		/* jiffies when last one went to the tunnel */
	__u32 away;		/* twice the frames that came elsewhere than
				 * at home, less those that came there */
	/* Which of these counts the worker has entered in its own. */
	__u64 tx_bytes_seen, rx_bytes_seen;
	__u32 tx_frames_seen, late_seen;
};

/* word: the expected number, who owns it, and the call's home: the number of
 * a CPU + 1, or 0 where the launcher put it. */
#define OFFLOAD_EXPECTED(word)	((__u32)(word))
#define OFFLOAD_FAST		(1ull << 32)
/* Late frames are for user space, which learns from them. */
#define OFFLOAD_LEARN		(1ull << 33)
#define OFFLOAD_HOME_SHIFT	48
#define OFFLOAD_HOME(word) \
	((__u32)((word) >> OFFLOAD_HOME_SHIFT) % OFFLOAD_HOMES)
#define OFFLOAD_HOME_MASK	(0xffffull << OFFLOAD_HOME_SHIFT)
#define OFFLOAD_WORD(expected, flags) ((__u64)(__u32)(expected) | (flags))

/* What a hash in our device says beside whose queue it is: how often the frame
 * was there before, and a home: the one to which it was sent, or else the one
 * that is to be the call's when the frame leaves this queue. */
#define OFFLOAD_HASH_TIMES	0x1fu
#define OFFLOAD_HASH_SENT	0x20u
#define OFFLOAD_HASH_MOVE_SHIFT	6
#define OFFLOAD_HASH_NOTE	0xffffu

/* In our device a frame's tc_index says from which interface it came, on that
 * interface this: it was sent back. */
#define OFFLOAD_BACK		0xffffu

#define OFFLOAD_OUT_FAST	1u
#define OFFLOAD_OUT_FRAME	2u

#endif
