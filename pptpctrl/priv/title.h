/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process title that ps and panels show, written over the argument and
 * environment area.
 */
#ifndef PRIV_TITLE_H
#define PRIV_TITLE_H

/* Once, in main, before anything keeps pointers into argv or environ. */
void title_init(int argc, char **argv);

/* "pptpd [10.0.0.2:1A2B - 3C4D]" and the like; cut to the room there is. */
void title_set(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
