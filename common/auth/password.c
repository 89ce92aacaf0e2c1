#include "common/auth/password.h"

#include <argon2.h>
#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/base/random.h"
#include "common/base/text_codec.h"

#define SHA256_N 32
#define SALT_N 16
#define SCRAM_COUNT_MIN 4096 /* RFC 7677 4 */
#define SCRYPT_P_MAX 4

static enum password_verdict verdict(bool right)
{
	return right ? PASSWORD_RIGHT : PASSWORD_WRONG;
}

static bool sha256(struct slice s, uint8_t out[SHA256_N])
{
	return EVP_Digest(s.n > 0 ? s.p : "", s.n, out, NULL, EVP_sha256(), NULL) == 1;
}

/* Decodes text, which must give exactly n octets. */
static bool decode(bool (*decoder)(struct buf *, struct slice), struct slice text, uint8_t *out,
		   size_t n)
{
	struct buf b;
	bool ok;

	buf_init(&b, 1024);
	ok = decoder(&b, text) && buf_length(&b) == n;
	if (ok)
		memcpy(out, buf_slice(&b).p, n);
	buf_fini(&b);
	return ok;
}

static enum password_verdict verify_sha256_hex(struct slice hash, struct slice password)
{
	uint8_t kept[SHA256_N], is[SHA256_N];

	if (!decode(hex_decode, hash, kept, sizeof(kept)) || !sha256(password, is))
		return PASSWORD_UNUSABLE;
	return verdict(CRYPTO_memcmp(kept, is, sizeof(is)) == 0);
}

/* RFC 5802 3: SaltedPassword, then StoredKey = H(HMAC(SaltedPassword, "Client Key")). The password
 * is taken as it is, as Dovecot does. */
static enum password_verdict verify_scram(struct slice hash, struct slice password)
{
	struct slice count_text, salt_text, stored_text;
	uint8_t stored[SHA256_N], salted[SHA256_N], client[SHA256_N], is[SHA256_N];
	unsigned n = sizeof(client);
	uint64_t count;
	struct buf salt;
	enum password_verdict v = PASSWORD_UNUSABLE;

	buf_init(&salt, 1024);
	if (!slice_cut(&hash, ',', &count_text) || !slice_cut(&hash, ',', &salt_text) ||
	    !slice_cut(&hash, ',', &stored_text) ||
	    !number_u64(count_text, PASSWORD_SCRAM_COUNT_MAX, &count) || count == 0 ||
	    !base64_decode(&salt, salt_text) ||
	    !decode(base64_decode, stored_text, stored, sizeof(stored)))
		goto out;
	if (PKCS5_PBKDF2_HMAC(password.n > 0 ? password.p : "", slice_int(password.n),
			      (const uint8_t *)buf_slice(&salt).p, slice_int(buf_length(&salt)),
			      (int)count, EVP_sha256(), SHA256_N, salted) != 1 ||
	    HMAC(EVP_sha256(), salted, SHA256_N, (const uint8_t *)"Client Key", 10, client, &n) ==
		    NULL ||
	    !sha256(slice_of(client, SHA256_N), is))
		goto out;
	v = verdict(CRYPTO_memcmp(stored, is, SHA256_N) == 0);
out:
	memory_wipe(salted, sizeof(salted));
	memory_wipe(client, sizeof(client));
	buf_fini(&salt);
	return v;
}

/* ---- crypt(3) ---- */

/* The number in front of the next '$', nothing over the limit. */
static bool number_within(struct slice text, uint64_t max)
{
	struct slice number;
	uint64_t n;

	return slice_cut(&text, '$', &number) && number_u64(number, max, &n);
}

/* crypt(5): the digits of an encoding in base 64. SIZE_MAX: none of them. */
static size_t crypt_digit(struct slice s, size_t at)
{
	return slice_find(SLICE("./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
			  at < s.n ? s.p[at] : '\0');
}

/* Both take 128 N r octets. */
static bool scrypt_memory_is_bounded(size_t log2_n, size_t r)
{
	return log2_n <= 30 && r <= 64 &&
	       ((uint64_t)128 << log2_n) * r <= (uint64_t)PASSWORD_MEMORY_MAX_KIB << 10;
}

/* yescrypt's parameters, "j9T": a flavour, log2(N) - 1, r - 1. Where there are more, they ask for
 * more. */
static bool yescrypt_is_bounded(struct slice text)
{
	struct slice parameters;

	return slice_cut(&text, '$', &parameters) && parameters.n == 3 &&
	       scrypt_memory_is_bounded(crypt_digit(parameters, 1) + 1,
					crypt_digit(parameters, 2) + 1);
}

/* scrypt's: log2(N), then r and p of five digits each, the lowest first. */
static bool scrypt_is_bounded(struct slice text)
{
	return scrypt_memory_is_bounded(crypt_digit(text, 0), crypt_digit(text, 1)) &&
	       slice_starts(slice_tail(text, 2), SLICE("....")) &&
	       crypt_digit(text, 6) <= SCRYPT_P_MAX &&
	       slice_starts(slice_tail(text, 7), SLICE("...."));
}

/* What a setting asks crypt(3) for. The methods that are not named here have a fixed cost, or one
 * of seconds at most. */
static bool crypt_is_bounded(struct slice setting)
{
	size_t rounds = slice_find_slice(setting, SLICE("rounds="));

	if (rounds != SIZE_MAX)
		return number_within(slice_tail(setting, rounds + 7), PASSWORD_CRYPT_ROUNDS_MAX);
	if (slice_starts(setting, SLICE("$sha1$")))
		return number_within(slice_tail(setting, 6), PASSWORD_CRYPT_ROUNDS_MAX);
	if (slice_starts(setting, SLICE("$2")))
		return number_within(slice_tail(setting, 4), PASSWORD_BCRYPT_COST_MAX);
	if (slice_starts(setting, SLICE("$y$")))
		return yescrypt_is_bounded(slice_tail(setting, 3));
	if (slice_starts(setting, SLICE("$gy$")))
		return yescrypt_is_bounded(slice_tail(setting, 4));
	return !slice_starts(setting, SLICE("$7$")) || scrypt_is_bounded(slice_tail(setting, 3));
}

static enum password_verdict verify_crypt(struct slice hash, struct slice password)
{
	struct crypt_data *data = calloc(1, sizeof(*data)); /* 32 KiB: not for a thread's stack */
	char setting[1025], text[1025];
	enum password_verdict v = PASSWORD_UNUSABLE;
	const char *is;

	text[0] = '\0';
	if (data == NULL || !slice_cstr(hash, setting, sizeof(setting), NULL) ||
	    crypt_checksalt(setting) == CRYPT_SALT_INVALID || !crypt_is_bounded(hash))
		goto out;
	v = PASSWORD_WRONG;
	if (!slice_cstr(password, text, sizeof(text), NULL))
		goto out;
	is = crypt_rn(text, setting, data, sizeof(*data));
	if (is == NULL)
		v = PASSWORD_UNUSABLE;
	else
		v = verdict(strlen(is) == hash.n && CRYPTO_memcmp(is, setting, hash.n) == 0);
out:
	memory_wipe(text, sizeof(text));
	if (data != NULL)
		memory_wipe(data, sizeof(*data));
	free(data);
	return v;
}

static enum password_verdict verify_blf(struct slice hash, struct slice password)
{
	return slice_starts(hash, SLICE("$2")) ? verify_crypt(hash, password) : PASSWORD_UNUSABLE;
}

static enum password_verdict verify_sha512_crypt(struct slice hash, struct slice password)
{
	return slice_starts(hash, SLICE("$6$")) ? verify_crypt(hash, password) : PASSWORD_UNUSABLE;
}

/* ---- Argon2 ---- */

/* Takes "name=number" off the front, up to separator. */
static bool argon2_parameter(struct slice *rest, struct slice name, char separator, uint64_t max,
			     uint64_t *out)
{
	struct slice field;

	return slice_cut(rest, separator, &field) && rest->p != NULL && slice_starts(field, name) &&
	       number_u64(slice_tail(field, name.n), max, out);
}

/* "v=19$m=65536,t=3,p=1$salt$hash": the library would do whatever is asked for there. */
static bool argon2_is_bounded(struct slice text)
{
	uint64_t version, memory_kib, passes, lanes;

	if (slice_starts(text, SLICE("v=")) &&
	    !argon2_parameter(&text, SLICE("v="), '$', ARGON2_VERSION_NUMBER, &version))
		return false;
	return argon2_parameter(&text, SLICE("m="), ',', PASSWORD_MEMORY_MAX_KIB, &memory_kib) &&
	       argon2_parameter(&text, SLICE("t="), ',', PASSWORD_ARGON2_PASSES_KIB_MAX, &passes) &&
	       argon2_parameter(&text, SLICE("p="), '$', PASSWORD_ARGON2_LANES_MAX, &lanes) &&
	       memory_kib * passes <= PASSWORD_ARGON2_PASSES_KIB_MAX;
}

static enum password_verdict verify_argon2(struct slice hash, struct slice prefix, argon2_type type,
					   struct slice password)
{
	char encoded[1025];
	int outcome;

	if (!slice_starts(hash, prefix) || !argon2_is_bounded(slice_tail(hash, prefix.n)) ||
	    !slice_cstr(hash, encoded, sizeof(encoded), NULL))
		return PASSWORD_UNUSABLE;
	outcome = argon2_verify(encoded, password.n > 0 ? password.p : "", password.n, type);
	return outcome == ARGON2_OK || outcome == ARGON2_VERIFY_MISMATCH
		       ? verdict(outcome == ARGON2_OK)
		       : PASSWORD_UNUSABLE;
}

static enum password_verdict verify_argon2id(struct slice hash, struct slice password)
{
	return verify_argon2(hash, SLICE("$argon2id$"), Argon2_id, password);
}

static enum password_verdict verify_argon2i(struct slice hash, struct slice password)
{
	return verify_argon2(hash, SLICE("$argon2i$"), Argon2_i, password);
}

/* ---- all of them ---- */

static bool scram_is_strong(struct slice hash)
{
	struct slice count;
	uint64_t n;

	return slice_cut(&hash, ',', &count) && number_u64(count, PASSWORD_SCRAM_COUNT_MAX, &n) &&
	       n >= SCRAM_COUNT_MIN;
}

static bool crypt_is_strong(struct slice hash)
{
	static const char *const strong[] = {"$6$", "$2a$", "$2b$", "$2y$", "$7$", "$y$", "$gy$"};

	for (size_t i = 0; i < ARRAY_LENGTH(strong); i++) {
		if (slice_starts(hash, slice_of_cstr(strong[i])))
			return true;
	}
	return false;
}

static bool is_never_strong(struct slice hash UNUSED)
{
	return false;
}

static bool is_always_strong(struct slice hash UNUSED)
{
	return true;
}

static const struct scheme {
	const char *name;
	enum password_verdict (*verify)(struct slice hash, struct slice password);
	bool (*is_strong)(struct slice hash);
} schemes[] = {
	{"{SHA256.HEX}", verify_sha256_hex, is_never_strong},
	{"{SCRAM-SHA-256}", verify_scram, scram_is_strong},
	{"{SHA512-CRYPT}", verify_sha512_crypt, is_always_strong},
	{"{BLF-CRYPT}", verify_blf, is_always_strong},
	{"{CRYPT}", verify_crypt, crypt_is_strong},
	{"{ARGON2ID}", verify_argon2id, is_always_strong},
	{"{ARGON2I}", verify_argon2i, is_always_strong},
};

/* And cuts it off. NULL: none that we know. */
static const struct scheme *take_scheme(struct slice *kept)
{
	for (size_t i = 0; i < ARRAY_LENGTH(schemes); i++) {
		struct slice name = slice_of_cstr(schemes[i].name);

		if (slice_starts_nocase(*kept, name)) {
			*kept = slice_tail(*kept, name.n);
			return &schemes[i];
		}
	}
	return kept->n == 2 * SHA256_N ? &schemes[0]
				       : NULL; /* the first is what hexadecimal digits alone are */
}

enum password_verdict password_verify(struct slice kept, struct slice password)
{
	const struct scheme *scheme;

	if (kept.n == 0 || slice_find(password, '\0') != SIZE_MAX)
		return PASSWORD_WRONG;
	scheme = take_scheme(&kept);
	return scheme != NULL ? scheme->verify(kept, password) : PASSWORD_UNUSABLE;
}

bool password_is_strong(struct slice kept)
{
	const struct scheme *scheme = take_scheme(&kept);

	return scheme == NULL || scheme->is_strong(kept);
}

/* ---- a new one ---- */

/* RFC 5802 3: StoredKey = H(HMAC(SaltedPassword, "Client Key")), ServerKey = HMAC(SaltedPassword,
 * "Server Key"). */
static bool scram_keys(struct slice password, const uint8_t salt[SALT_N], uint8_t stored[SHA256_N],
		       uint8_t server[SHA256_N])
{
	uint8_t salted[SHA256_N], client[SHA256_N];
	unsigned n = SHA256_N;
	bool ok = PKCS5_PBKDF2_HMAC(password.p, slice_int(password.n), salt, SALT_N,
				    PASSWORD_SCRAM_COUNT, EVP_sha256(), SHA256_N, salted) == 1 &&
		  HMAC(EVP_sha256(), salted, SHA256_N, (const uint8_t *)"Client Key", 10, client,
		       &n) != NULL &&
		  HMAC(EVP_sha256(), salted, SHA256_N, (const uint8_t *)"Server Key", 10, server,
		       &n) != NULL &&
		  sha256(slice_of(client, SHA256_N), stored);

	memory_wipe(salted, sizeof(salted));
	memory_wipe(client, sizeof(client));
	return ok;
}

bool password_make(struct slice password, struct buf *out, struct fault *why)
{
	uint8_t salt[SALT_N], stored[SHA256_N], server[SHA256_N];
	size_t start = buf_length(out);

	if (password.n == 0 || slice_find(password, '\0') != SIZE_MAX) {
		fault_set(why, "5.5.4", "a password is not empty and holds no NUL");
		return false;
	}
	random_fill(salt, sizeof(salt));
	if (!scram_keys(password, salt, stored, server) ||
	    !buf_printf(out, "{SCRAM-SHA-256}%d,", PASSWORD_SCRAM_COUNT) ||
	    !base64_encode(out, slice_of(salt, SALT_N)) || !buf_append_char(out, ',') ||
	    !base64_encode(out, slice_of(stored, SHA256_N)) || !buf_append_char(out, ',') ||
	    !base64_encode(out, slice_of(server, SHA256_N))) {
		buf_truncate(out, start);
		fault_set(why, "4.3.1", "no room for a password");
		return false;
	}
	return true;
}
