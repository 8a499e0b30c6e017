/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/senders.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "net/flow.h"

#define JOBS		4u	/* batches of one thread at a time */
#define STACK_SIZE	(256u << 10)

struct job {
	bool to_tunnel;
	struct l2tp l2tp;	/* its frames lie in tx.own */
	struct tx_batch tx;
};

struct sender {
	unsigned number;
	int gre_fd;
	pthread_mutex_t lock;
	pthread_cond_t put_cond, done_cond;
	bool up;
	int stays;		/* on its CPU; else -errno */
	unsigned n_put;		/* the first thread's */
	unsigned n_done;	/* this thread's */
	struct job *open;	/* being filled */
	struct job job[JOBS];
};

struct senders {
	unsigned n;
	uint64_t n_taken;
	struct sender *sender[];
};

/* --- a thread ------------------------------------------------------------ */

static void
send_job(const struct sender *s, struct job *job)
{
	if (job->to_tunnel)
		l2tp_flush(&job->l2tp);
	else
		tx_send(&job->tx, s->gre_fd);
}

/* On one of the CPUs that this process may use.  What a thread sends waits in
 * queues of the CPU that it is on: from another one the next frame could
 * overtake it. */
static int
stay(unsigned number)
{
	cpu_set_t may, one;

	if (sched_getaffinity(0, sizeof(may), &may) < 0)
		return -errno;
	number %= (unsigned)CPU_COUNT(&may);
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &may) || number-- > 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		return sched_setaffinity(0, sizeof(one), &one) < 0 ? -errno :
		    0;
	}
	return -ENODEV;
}

static void *
sender_main(void *arg)
{
	struct sender *s = arg;

	prctl(PR_SET_NAME, "pptpd-sender");
	s->stays = stay(s->number);
	pthread_mutex_lock(&s->lock);
	s->up = true;
	for (;;) {
		pthread_cond_signal(&s->done_cond);
		while (s->n_put == s->n_done)
			pthread_cond_wait(&s->put_cond, &s->lock);
		pthread_mutex_unlock(&s->lock);
		send_job(s, &s->job[s->n_done % JOBS]);
		pthread_mutex_lock(&s->lock);
		s->n_done++;
	}
	return NULL;
}

static int
start(struct sender *s)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t thread;
	int e;

	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->put_cond, NULL);
	pthread_cond_init(&s->done_cond, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	e = pthread_create(&thread, &attr, sender_main, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (e != 0)
		return -e;
	/* What it does to begin is no longer allowed afterwards. */
	pthread_mutex_lock(&s->lock);
	while (!s->up)
		pthread_cond_wait(&s->done_cond, &s->lock);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

struct senders *
senders_new(const int *gre_fd, unsigned n, int udp_fd)
{
	struct senders *all = calloc(1, sizeof(*all) +
	    n * sizeof(all->sender[0]));

	if (!all)
		return NULL;
	for (; all->n < n; all->n++) {
		struct sender *s = calloc(1, sizeof(*s));
		int e;

		if (!s)
			return NULL;
		s->number = all->n;
		s->gre_fd = gre_fd[all->n];
		for (unsigned i = 0; i < JOBS; i++)
			l2tp_init(&s->job[i].l2tp, udp_fd, false);
		all->sender[all->n] = s;
		e = start(s);
		if (e < 0) {
			errno = -e;
			return NULL;
		}
	}
	return all;
}

/* --- the first thread's side ---------------------------------------------- */

static struct sender *
sender_of(const struct senders *all, uint16_t call)
{
	return all->sender[call % all->n];
}

/* The batch that is being filled for the call. */
static struct job *
job_for(struct senders *all, uint16_t call, bool to_tunnel)
{
	struct sender *s = sender_of(all, call);

	if (s->open)
		return s->open;
	pthread_mutex_lock(&s->lock);
	while (s->n_put - s->n_done == JOBS)
		pthread_cond_wait(&s->done_cond, &s->lock);
	pthread_mutex_unlock(&s->lock);
	s->open = &s->job[s->n_put % JOBS];
	s->open->to_tunnel = to_tunnel;
	return s->open;
}

static void
put_jobs(struct senders *all)
{
	for (unsigned i = 0; i < all->n; i++) {
		struct sender *s = all->sender[i];

		if (!s->open)
			continue;
		s->open = NULL;
		pthread_mutex_lock(&s->lock);
		s->n_put++;
		pthread_cond_signal(&s->put_cond);
		pthread_mutex_unlock(&s->lock);
	}
}

void
senders_take_tx(struct senders *all, struct tx_batch *tx)
{
	for (unsigned i = 0; i < tx->n; i++) {
		struct flow *f = tx->flow[i];
		struct tx_batch *to = &job_for(all, f->own_id, false)->tx;
		uint8_t *copy = to->own[to->n];

		memcpy(copy, tx->iov[i].iov_base, tx->iov[i].iov_len);
		tx_add(to, f, copy, tx->iov[i].iov_len);
	}
	all->n_taken += tx->n;
	tx->n = 0;
	put_jobs(all);
}

void
senders_take_l2tp(struct senders *all, struct l2tp *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		const uint8_t *frame = l->out[i].at;
		uint16_t session = (uint16_t)(frame[4] << 8 | frame[5]);
		struct job *job = job_for(all, session, true);
		struct l2tp *to = &job->l2tp;

		memcpy(job->tx.own[to->n], frame, l->out[i].len);
		to->out[to->n].at = job->tx.own[to->n];
		to->out[to->n].len = l->out[i].len;
		to->n++;
	}
	all->n_taken += l->n;
	l->n = 0;
	put_jobs(all);
}

int
senders_stay(const struct senders *all)
{
	for (unsigned i = 0; i < all->n; i++)
		if (all->sender[i]->stays < 0)
			return all->sender[i]->stays;
	return 0;
}

void
senders_drain(struct senders *all, uint16_t call)
{
	struct sender *s = sender_of(all, call);

	pthread_mutex_lock(&s->lock);
	while (s->n_done != s->n_put)
		pthread_cond_wait(&s->done_cond, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

uint64_t
senders_taken(const struct senders *all)
{
	return all->n_taken;
}
