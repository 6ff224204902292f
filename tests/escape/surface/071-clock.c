/* Row 71: the clock: certificates expire, logs lie, leases end. Each sets what is set already. */
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>

#include "tests/escape/lib/escape.h"

static int by_settimeofday(void)
{
	struct timeval tv;

	gettimeofday(&tv, NULL);
	return esc_errno(syscall(SYS_settimeofday, &tv, NULL));
}

static int by_clock_settime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return esc_errno(syscall(SYS_clock_settime, CLOCK_REALTIME, &ts));
}

/* 10,000 microseconds a tick is what it is. */
static int by_adjtimex(void)
{
	struct timex t = {.modes = ADJ_TICK, .tick = 10000};

	return esc_errno(syscall(SYS_adjtimex, &t));
}

static int by_clock_adjtime(void)
{
	struct timex t = {.modes = ADJ_TICK, .tick = 10000};

	return esc_errno(syscall(SYS_clock_adjtime, CLOCK_REALTIME, &t));
}

static int time_zone(void)
{
	struct timezone tz = {0, 0};

	return esc_errno(syscall(SYS_settimeofday, NULL, &tz));
}

static int hardware(void)
{
	int fd = open("/dev/rtc0", O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && !strcmp(esc_arg("mode"), "outside"))
		return esc_skip("no /dev/rtc0 here");
	return fd < 0 ? errno : 0;
}

static const struct esc_try tries[] = {
	{"settimeofday", by_settimeofday, "syscall", 1, ESC_OUTSIDE, NULL},
	{"clock-settime", by_clock_settime, "syscall", 1, ESC_OUTSIDE, NULL},
	{"adjtimex", by_adjtimex, "syscall", 1, ESC_OUTSIDE, NULL},
	{"clock-adjtime", by_clock_adjtime, "syscall", 1, ESC_OUTSIDE, NULL},
	{"time-zone", time_zone, "syscall", 1, ESC_OUTSIDE, NULL},
	{"rtc", hardware, "file.absent", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(71, "setting the clock", "filter, settime, no capability", tries);
