/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define ALIGN	64u

struct header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t layout, n;
	uint32_t rec_size, live_size;
	uint64_t sum;		/* of all above */
	_Atomic uint32_t current;	/* slot + 1; 0: none */
	_Atomic uint32_t complete;
};

struct copy {
	_Atomic uint64_t gen;	/* 0: not valid; the higher one counts */
	uint64_t sum;
	uint32_t len;		/* 0: the slot was emptied */
	uint32_t reserved;
	uint8_t rec[];
};

/* After the header comes a byte for each slot, not 0 when it may have a record:
 * to look at an empty slot itself would cost a page of memory. */

/* A slot is: this, two copies, the live words. */
struct slot {
	_Atomic uint32_t blame;
	uint32_t reserved;
};

static uint64_t
mix(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ p[i]) * 0x100000001b3u;	/* FNV-1a */
	return sum;
}

static size_t
round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static size_t
copy_size(uint32_t rec_size)
{
	return round_up(sizeof(struct copy) + rec_size, 8);
}

static size_t
stride_of(uint32_t rec_size, uint32_t live_size)
{
	return round_up(sizeof(struct slot) + 2 * copy_size(rec_size) +
	    live_size, ALIGN);
}

static size_t
slots_at(uint32_t n)
{
	return ALIGN + round_up(n, ALIGN);
}

static struct header *
header(const struct state *t)
{
	return (struct header *)(void *)t->map;
}

static struct slot *
slot_at(const struct state *t, uint32_t i)
{
	return (struct slot *)(void *)(t->map + slots_at(t->n) +
	    i * t->stride);
}

static struct copy *
copy_at(const struct state *t, uint32_t i, int which)
{
	uint8_t *at = (uint8_t *)slot_at(t, i) + sizeof(struct slot) +
	    (which ? copy_size(t->rec_size) : 0);

	return (struct copy *)(void *)at;
}

static volatile uint8_t *
used(const struct state *t, uint32_t i)
{
	return t->map + ALIGN + i;
}

static uint64_t
header_sum(const struct header *h)
{
	return mix(0xcbf29ce484222325u, h, offsetof(struct header, sum));
}

static uint64_t
copy_sum(uint32_t i, uint64_t gen, uint32_t len, const void *rec)
{
	uint64_t sum = mix(0xcbf29ce484222325u, &i, sizeof(i));

	sum = mix(sum, &gen, sizeof(gen));
	sum = mix(sum, &len, sizeof(len));
	return mix(sum, rec, len);
}

static int
map(struct state *t)
{
	void *at = mmap(NULL, t->size, PROT_READ | PROT_WRITE, MAP_SHARED,
	    t->fd, 0);

	if (at == MAP_FAILED)
		return -1;
	t->map = at;
	return 0;
}

int
state_create(struct state *t, const struct state_kind *kind,
    const char *name, uint32_t n)
{
	struct state new = STATE_INIT;
	struct header *h;
	int saved;

	new.n = n;
	new.rec_size = kind->rec_size;
	new.live_size = kind->live_size;
	new.minor = kind->minor;
	new.stride = stride_of(new.rec_size, new.live_size);
	new.size = slots_at(n) + n * new.stride;
	new.fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (new.fd < 0)
		return -1;
	if (ftruncate(new.fd, (off_t)new.size) < 0 ||
	    fcntl(new.fd, F_ADD_SEALS, SEALS) < 0 || map(&new) < 0) {
		saved = errno;
		close(new.fd);
		errno = saved;
		return -1;
	}
	h = header(&new);
	h->magic = kind->magic;
	h->major = kind->major;
	h->minor = kind->minor;
	h->layout = kind->layout;
	h->n = n;
	h->rec_size = new.rec_size;
	h->live_size = new.live_size;
	h->sum = header_sum(h);
	*t = new;
	return 0;
}

bool
state_is_table(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) ==
	    (F_SEAL_SHRINK | F_SEAL_GROW);
}

/* May the sizes that the header names be believed? */
static bool
fits(struct state *t, const struct header *h)
{
	if (h->n > STATE_SLOTS_MAX || h->rec_size > STATE_REC_MAX ||
	    h->live_size > STATE_REC_MAX || h->live_size % 8 != 0)
		return false;
	t->n = h->n;
	t->rec_size = h->rec_size;
	t->live_size = h->live_size;
	t->minor = h->minor;
	t->stride = stride_of(h->rec_size, h->live_size);
	return slots_at(t->n) + t->n * t->stride <= t->size;
}

static const char *
judge(struct state *t, const struct state_kind *kind)
{
	struct header h;

	memcpy(&h, t->map, sizeof(h));
	if (h.magic != kind->magic || h.sum != header_sum(&h))
		return "is corrupt, or not a table of calls";
	if (h.major != kind->major || h.layout != kind->layout)
		return "is of a version that this program cannot read";
	/* Fewer words than we know of would be read beyond their end. */
	if (h.live_size < kind->live_size || !fits(t, &h))
		return "is truncated";
	return NULL;
}

int
state_open(struct state *t, const struct state_kind *kind, int fd,
    char why[STATE_WHY_MAX])
{
	struct state new = STATE_INIT;
	const char *bad = NULL;
	off_t size = lseek(fd, 0, SEEK_END);

	if (!state_is_table(fd) || size < 0) {
		snprintf(why, STATE_WHY_MAX, "is not sealed memory");
		return -1;
	}
	new.fd = fd;
	new.size = (size_t)size;
	if (new.size < ALIGN)
		bad = "is truncated";
	else if (map(&new) < 0)
		bad = strerror(errno);
	else
		bad = judge(&new, kind);
	if (!bad) {
		*t = new;
		return 0;
	}
	snprintf(why, STATE_WHY_MAX, "%s", bad);
	if (new.map)
		munmap(new.map, new.size);
	return -1;
}

void
state_close(struct state *t)
{
	if (t->map)
		munmap(t->map, t->size);
	if (t->fd >= 0)
		close(t->fd);
	*t = (struct state)STATE_INIT;
}

bool
state_is_open(const struct state *t)
{
	return t->map != NULL;
}

/* The copy that is not the newest, and the generation that follows. */
static struct copy *
next_copy(const struct state *t, uint32_t i, uint64_t *ret_gen)
{
	struct copy *a = copy_at(t, i, 0), *b = copy_at(t, i, 1);

	/* Nobody counts so far: it was broken. */
	if (a->gen == UINT64_MAX || b->gen == UINT64_MAX)
		a->gen = b->gen = 0;
	*ret_gen = (a->gen > b->gen ? a->gen : b->gen) + 1;
	return a->gen > b->gen ? b : a;
}

static void
write_copy(struct state *t, uint32_t i, const void *rec, uint32_t len)
{
	uint64_t gen;
	struct copy *c = next_copy(t, i, &gen);

	atomic_store_explicit(&c->gen, 0, memory_order_seq_cst);
	atomic_signal_fence(memory_order_seq_cst);
	if (len > 0)
		memcpy(c->rec, rec, len);
	c->len = len;
	c->sum = copy_sum(i, gen, len, c->rec);
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&c->gen, gen, memory_order_seq_cst);
}

void
state_put(struct state *t, uint32_t i, const void *rec, size_t len)
{
	if (!t->map || i >= t->n || len == 0 || len > t->rec_size)
		return;
	*used(t, i) = 1;
	write_copy(t, i, rec, (uint32_t)len);
}

void
state_clear(struct state *t, uint32_t i)
{
	if (!t->map || i >= t->n || *used(t, i) == 0)
		return;
	write_copy(t, i, NULL, 0);
	memset(state_live(t, i), 0, t->live_size);
	slot_at(t, i)->blame = 0;
	*used(t, i) = 0;
}

/* A private copy of c; false when it is not whole. */
static bool
read_copy(const struct state *t, uint32_t i, const struct copy *c,
    uint8_t *buf, uint32_t *ret_len)
{
	uint64_t gen = c->gen;
	uint32_t len = c->len;

	if (gen == 0 || len > t->rec_size)
		return false;
	memcpy(buf, c->rec, len);
	if (copy_sum(i, gen, len, buf) != c->sum)
		return false;
	*ret_len = len;
	return true;
}

static enum state_got
newest(const struct state *t, uint32_t i, uint8_t *buf, uint32_t *ret_len)
{
	const struct copy *a = copy_at(t, i, 0), *b = copy_at(t, i, 1);
	const struct copy *first = a->gen > b->gen ? a : b;
	const struct copy *second = first == a ? b : a;

	if (read_copy(t, i, first, buf, ret_len) ||
	    read_copy(t, i, second, buf, ret_len))
		return *ret_len > 0 ? STATE_OK : STATE_EMPTY;
	return first->gen != 0 || first->len != 0 || second->len != 0 ?
	    STATE_BAD : STATE_EMPTY;
}

enum state_got
state_get(const struct state *t, uint32_t i, void *rec, size_t size,
    size_t *ret_len)
{
	enum state_got got = STATE_BAD;
	uint32_t len = 0;
	uint8_t *buf;

	if (!t->map || i >= t->n || *used(t, i) == 0)
		return STATE_EMPTY;
	buf = malloc(t->rec_size + 1u);
	if (buf)
		got = newest(t, i, buf, &len);
	if (got == STATE_OK) {
		memset(rec, 0, size);
		memcpy(rec, buf, len < size ? len : size);
		if (ret_len)
			*ret_len = len;
	}
	free(buf);
	return got;
}

void *
state_live(const struct state *t, uint32_t i)
{
	return (uint8_t *)slot_at(t, i) + sizeof(struct slot) +
	    2 * copy_size(t->rec_size);
}

void
state_begin(struct state *t, uint32_t i)
{
	if (t->map)
		atomic_store_explicit(&header(t)->current, i + 1,
		    memory_order_relaxed);
}

void
state_end(struct state *t)
{
	if (t->map)
		atomic_store_explicit(&header(t)->current, 0,
		    memory_order_relaxed);
}

long
state_suspect(const struct state *t)
{
	uint32_t current = t->map ? header(t)->current : 0;

	return current == 0 || current > t->n ? -1 : (long)current - 1;
}

unsigned
state_blame(struct state *t, uint32_t i)
{
	if (i >= t->n)
		return 0;
	*used(t, i) = 1;
	return ++slot_at(t, i)->blame;
}

unsigned
state_blamed(const struct state *t, uint32_t i)
{
	return i < t->n && *used(t, i) != 0 ? slot_at(t, i)->blame : 0;
}

void
state_set_complete(struct state *t)
{
	if (t->map)
		header(t)->complete = 1;
}

bool
state_complete(const struct state *t)
{
	return t->map && header(t)->complete == 1;
}
