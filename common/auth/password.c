#include "common/auth/password.h"

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

static enum password_verdict verdict(bool right)
{
	return right ? PASSWORD_RIGHT : PASSWORD_WRONG;
}

static bool sha256(struct slice s, uint8_t out[SHA256_N])
{
	return EVP_Digest(s.n > 0 ? s.p : "", s.n, out, NULL, EVP_sha256(), NULL) == 1;
}

/* Decodes text, which must give exactly n octets. */
static bool decode(bool (*decoder)(struct buf *, struct slice), struct slice text, uint8_t *out, size_t n)
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

/* RFC 5802 3: SaltedPassword, then StoredKey = H(HMAC(SaltedPassword, "Client Key")). The password is taken as it is, as Dovecot does. */
static enum password_verdict verify_scram(struct slice hash, struct slice password)
{
	struct slice count_text, salt_text, stored_text;
	uint8_t stored[SHA256_N], salted[SHA256_N], client[SHA256_N], is[SHA256_N];
	unsigned n = sizeof(client);
	uint64_t count;
	struct buf salt;
	enum password_verdict v = PASSWORD_UNUSABLE;

	buf_init(&salt, 1024);
	if (!slice_cut(&hash, ',', &count_text) || !slice_cut(&hash, ',', &salt_text) || !slice_cut(&hash, ',', &stored_text) ||
	    !number_u64(count_text, PASSWORD_SCRAM_COUNT_MAX, &count) || count == 0 || !base64_decode(&salt, salt_text) ||
	    !decode(base64_decode, stored_text, stored, sizeof(stored)))
		goto out;
	if (PKCS5_PBKDF2_HMAC(password.n > 0 ? password.p : "", slice_int(password.n), (const uint8_t *)buf_slice(&salt).p,
			      slice_int(buf_length(&salt)), (int)count, EVP_sha256(), SHA256_N, salted) != 1 ||
	    HMAC(EVP_sha256(), salted, SHA256_N, (const uint8_t *)"Client Key", 10, client, &n) == NULL ||
	    !sha256(slice_of(client, SHA256_N), is))
		goto out;
	v = verdict(CRYPTO_memcmp(stored, is, SHA256_N) == 0);
out:
	memory_wipe(salted, sizeof(salted));
	memory_wipe(client, sizeof(client));
	buf_fini(&salt);
	return v;
}

static enum password_verdict verify_crypt(struct slice hash, struct slice password)
{
	struct crypt_data *data = calloc(1, sizeof(*data)); /* 32 KiB: not for a thread's stack */
	char setting[1025], text[1025];
	enum password_verdict v = PASSWORD_UNUSABLE;
	const char *is;

	text[0] = '\0';
	if (data == NULL || !slice_cstr(hash, setting, sizeof(setting), NULL) || crypt_checksalt(setting) == CRYPT_SALT_INVALID)
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

enum password_verdict password_verify(struct slice kept, struct slice password)
{
	static const struct {
		const char *scheme;
		enum password_verdict (*verify)(struct slice hash, struct slice password);
	} schemes[] = {
		{"{SHA256.HEX}", verify_sha256_hex},
		{"{SCRAM-SHA-256}", verify_scram},
		{"{SHA512-CRYPT}", verify_sha512_crypt},
		{"{BLF-CRYPT}", verify_blf},
		{"{CRYPT}", verify_crypt},
	};

	if (kept.n == 0 || slice_find(password, '\0') != SIZE_MAX)
		return PASSWORD_WRONG;
	for (size_t i = 0; i < ARRAY_LENGTH(schemes); i++) {
		struct slice scheme = slice_of_cstr(schemes[i].scheme);

		if (slice_starts_nocase(kept, scheme))
			return schemes[i].verify(slice_tail(kept, scheme.n), password);
	}
	return kept.n == 2 * SHA256_N ? verify_sha256_hex(kept, password) : PASSWORD_UNUSABLE;
}

/* RFC 5802 3: StoredKey = H(HMAC(SaltedPassword, "Client Key")), ServerKey = HMAC(SaltedPassword, "Server Key"). */
static bool scram_keys(struct slice password, const uint8_t salt[SALT_N], uint8_t stored[SHA256_N], uint8_t server[SHA256_N])
{
	uint8_t salted[SHA256_N], client[SHA256_N];
	unsigned n = SHA256_N;
	bool ok = PKCS5_PBKDF2_HMAC(password.p, slice_int(password.n), salt, SALT_N, PASSWORD_SCRAM_COUNT, EVP_sha256(), SHA256_N, salted) == 1 &&
		  HMAC(EVP_sha256(), salted, SHA256_N, (const uint8_t *)"Client Key", 10, client, &n) != NULL &&
		  HMAC(EVP_sha256(), salted, SHA256_N, (const uint8_t *)"Server Key", 10, server, &n) != NULL &&
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
	if (!scram_keys(password, salt, stored, server) || !buf_printf(out, "{SCRAM-SHA-256}%d,", PASSWORD_SCRAM_COUNT) ||
	    !base64_encode(out, slice_of(salt, SALT_N)) || !buf_append_char(out, ',') || !base64_encode(out, slice_of(stored, SHA256_N)) ||
	    !buf_append_char(out, ',') || !base64_encode(out, slice_of(server, SHA256_N))) {
		buf_truncate(out, start);
		fault_set(why, "4.3.1", "no room for a password");
		return false;
	}
	return true;
}
