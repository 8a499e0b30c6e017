/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keyword vrf: the public side of the server in a VRF device of the kernel.
 * pppd's interfaces stay where they are.
 */
#ifndef PRIV_VRF_H
#define PRIV_VRF_H

#include <stddef.h>

/* Bind fd to the device.  0, or -1 and why[0..size). */
int vrf_bind(int fd, const char *device, char *why, size_t size);

#endif
