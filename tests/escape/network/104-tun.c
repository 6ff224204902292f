/*
 * Row 104: a network device of one's own: TUN and TAP through /dev/net/tun, whatever its name is.
 */
#include <linux/if_tun.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/escape/lib/net.h"

static int made(int fd, short flags)
{
	struct ifreq r = {.ifr_flags = flags};
	int ret;

	if (fd < 0)
		return esc_is_outside() && (errno == ENOENT || errno == ENODEV)
			       ? esc_skip("this kernel has no TUN")
			       : errno;
	ret = esc_errno(ioctl(fd, TUNSETIFF, &r));
	close(fd);
	return ret;
}

static int tun(void)
{
	return made(open("/dev/net/tun", O_RDWR | O_CLOEXEC), IFF_TUN | IFF_NO_PI);
}

static int tap(void)
{
	return made(open("/dev/net/../net/tun", O_RDWR | O_CLOEXEC), IFF_TAP | IFF_NO_PI);
}

/* A node of one's own with the device's numbers. */
static int node(void)
{
	const char *path = esc_in("write", "tun");

	unlink(path);
	if (mknod(path, S_IFCHR | 0600, makedev(10, 200)) < 0)
		return errno;
	return made(open(path, O_RDWR | O_CLOEXEC), IFF_TUN | IFF_NO_PI);
}

static int other(void)
{
	const char *path = esc_in("write", "fuse");

	unlink(path);
	/* Any other device node does as well: the refusal must not be about one number. */
	return mknod(path, S_IFCHR | 0600, makedev(10, 229)) < 0 ? errno : 0;
}

static const struct esc_try tries[] = {
	{"tun", tun, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"tap", tap, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"node", node, "device", 1, ESC_OUTSIDE, NULL},
	{"other-node", other, "device", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(104, "TUN, TAP", "the view, path_mknod, cgroup/dev", tries);
