#include "common/spool/id.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/base/crc32c.h"
#include "common/base/fd.h"
#include "common/base/random.h"

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz"; /* in the order of octets, so ids sort by time */

#define TIME_BITS 52
#define HOST_MASK 0x3fffffffu
#define HASH_PLACE 15 /* the last of the random characters */

/* 0 to 31, or -1. */
static int digit_value(char c)
{
	const char *at = c == '\0' ? NULL : memchr(alphabet, c, sizeof(alphabet) - 1);

	return at == NULL ? -1 : (int)(at - alphabet);
}

void spool_id_source_init(struct spool_id_source *s, struct slice hostname, unsigned worker)
{
	unsigned char machine[32];
	int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || !fd_read_all(fd, machine, sizeof(machine), 0))
		random_fill(machine, sizeof(machine));
	fd_close(&fd);
	*s = (struct spool_id_source){.worker = (uint8_t)worker};
	s->host = crc32c(crc32c(0, hostname.p, hostname.n), machine, sizeof(machine)) & HOST_MASK;
}

/* Appends the lowest 5 × n bits of value. */
static char *put_digits(char *p, uint64_t value, unsigned n)
{
	while (n-- > 0)
		*p++ = alphabet[value >> (5 * n) & 31];
	return p;
}

void spool_id_make(struct spool_id_source *s, uint64_t wall_us, char out[SPOOL_ID_LENGTH + 1])
{
	uint32_t noise;
	char *p = out;

	s->last_us = wall_us > s->last_us ? wall_us : s->last_us + 1;
	random_fill(&noise, sizeof(noise));
	p = put_digits(p, s->last_us << 8 | s->worker, 12);
	p = put_digits(p, noise, 4);
	p = put_digits(p, s->host, 6);
	*p = '\0';
}

void spool_id_compose(uint64_t time_us, unsigned worker, uint64_t rest, char out[SPOOL_ID_LENGTH + 1])
{
	char *p = put_digits(out, time_us << 8 | (worker & 255), 12);

	p = put_digits(p, rest, 10);
	*p = '\0';
}

bool spool_id_is_valid(struct slice id)
{
	if (id.n != SPOOL_ID_LENGTH)
		return false;
	for (size_t i = 0; i < id.n; i++)
		if (digit_value(id.p[i]) < 0)
			return false;
	return true;
}

uint64_t spool_id_time_us(struct slice id)
{
	uint64_t value = 0;

	if (!spool_id_is_valid(id))
		return 0;
	for (size_t i = 0; i < 12; i++)
		value = value << 5 | (uint64_t)digit_value(id.p[i]);
	return value >> 8 & (((uint64_t)1 << TIME_BITS) - 1);
}

char spool_id_hash(struct slice id)
{
	return id.n > HASH_PLACE && digit_value(id.p[HASH_PLACE]) >= 0 ? id.p[HASH_PLACE] : alphabet[0];
}
