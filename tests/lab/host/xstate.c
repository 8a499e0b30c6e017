/*
 * Preloaded into User-Mode Linux: gives ptrace the whole register state of a CPU that has more of
 * it than User-Mode Linux knows.
 *
 * It keeps a process's extended state in a buffer that ends after PKRU. On a CPU with AMX the host
 * has 8 kB more, and refuses PTRACE_SETREGSET with anything but all of it (EFAULT): no guest gets
 * as far as its first process. Nobody can use AMX in a guest, since that needs a permission which
 * User-Mode Linux does not pass on, so what is missing is in its initial state: zeroes.
 */
#include <cpuid.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

#define XSTATE_BV	512	/* offset of the word that names the components in use */

static uint8_t whole[1 << 16];	/* zeroes after what User-Mode Linux gives */

/* Components that lie within the first len bytes. */
static uint64_t components_within(size_t len)
{
	uint64_t mask = 3;	/* x87 and SSE: in the first 512 bytes */
	uint32_t size, offset, c, d;

	for (uint32_t i = 2; i < 63; i++)
		if (__get_cpuid_count(0xd, i, &size, &offset, &c, &d) &&
		    size > 0 && offset + size <= len)
			mask |= (uint64_t)1 << i;
	return mask;
}

static long set_whole(long (*next)(int, ...), pid_t pid, void *type,
		      const struct iovec *given)
{
	static size_t whole_size;
	static uint64_t mask;
	struct iovec iov = {.iov_base = whole, .iov_len = sizeof whole};
	uint64_t in_use;

	if (whole_size == 0) {
		if (next(PTRACE_GETREGSET, pid, type, &iov) < 0)
			return -1;
		whole_size = iov.iov_len;
		mask = components_within(given->iov_len);
		memset(whole, 0, sizeof whole);
	}
	if (whole_size <= given->iov_len || given->iov_len < XSTATE_BV + sizeof in_use) {
		errno = EFAULT;
		return -1;
	}
	memcpy(whole, given->iov_base, given->iov_len);
	memcpy(&in_use, whole + XSTATE_BV, sizeof in_use);
	in_use &= mask;
	memcpy(whole + XSTATE_BV, &in_use, sizeof in_use);
	iov.iov_len = whole_size;
	return next(PTRACE_SETREGSET, pid, type, &iov);
}

long ptrace(enum __ptrace_request request, ...)
{
	static long (*next)(int, ...);
	static int too_short;	/* what User-Mode Linux gives, on this CPU */
	va_list words;
	pid_t pid;
	void *addr, *data;
	long result;

	va_start(words, request);
	pid = va_arg(words, pid_t);
	addr = va_arg(words, void *);
	data = va_arg(words, void *);
	va_end(words);
	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "ptrace");
	if (request != PTRACE_SETREGSET || (uintptr_t)addr != NT_X86_XSTATE)
		return next(request, pid, addr, data);
	if (!too_short) {
		result = next(request, pid, addr, data);
		if (result == 0 || errno != EFAULT)
			return result;
		too_short = 1;
	}
	return set_whole(next, pid, addr, data);
}
