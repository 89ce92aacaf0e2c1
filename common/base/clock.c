#include "common/base/clock.h"

#include <stdlib.h>
#include <time.h>

uint64_t clock_wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_monotonic_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool clock_append_rfc5322(struct buf *b, uint64_t wall_us)
{
	/* strftime's names follow the locale; ours must not. */
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm t;
	long offset;

	if (localtime_r(&seconds, &t) == NULL)
		return false;
	offset = t.tm_gmtoff / 60;
	return buf_printf(b, "%.3s, %02d %.3s %d %02d:%02d:%02d %c%02ld%02ld", days + 3 * t.tm_wday, t.tm_mday,
			  months + 3 * t.tm_mon, t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec,
			  offset < 0 ? '-' : '+', labs(offset) / 60, labs(offset) % 60);
}

bool clock_append_rfc3339(struct buf *b, uint64_t wall_us)
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm t;

	if (gmtime_r(&seconds, &t) == NULL)
		return false;
	return buf_printf(b, "%04d-%02d-%02dT%02d:%02d:%02d.%06uZ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
			  t.tm_hour, t.tm_min, t.tm_sec, (unsigned)(wall_us % 1000000));
}
