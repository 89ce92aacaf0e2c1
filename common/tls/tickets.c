#include "common/tls/tickets.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/tls/errors.h"

enum {
	NAME = 0,
	NAME_BYTES = 16,
	CIPHER_KEY = 16,
	MAC_KEY = 48,
	MAC_KEY_BYTES = 32,
	IV_BYTES = 16
};

bool tls_tickets_init(struct tls_tickets *t, OSSL_LIB_CTX *library, struct fault *why)
{
	t->n = 0;
	if ((t->cipher = EVP_CIPHER_fetch(library, "AES-256-CBC", NULL)) != NULL)
		return true;
	tls_errors_to_fault(why, "4.3.0", "no cipher for session tickets");
	return false;
}

void tls_tickets_fini(struct tls_tickets *t)
{
	memory_wipe(t->keys, sizeof(t->keys));
	EVP_CIPHER_free(t->cipher);
	t->cipher = NULL;
}

bool tls_tickets_set(struct tls_tickets *t, struct slice keys, struct fault *why)
{
	if (keys.n == 0 || keys.n % TLS_TICKET_KEY_BYTES || keys.n > sizeof(t->keys)) {
		fault_set(why, "4.3.0", "%zu octets are not one to five ticket keys", keys.n);
		return false;
	}
	memory_wipe(t->keys, sizeof(t->keys));
	memcpy(t->keys, keys.p, keys.n);
	t->n = keys.n / TLS_TICKET_KEY_BYTES;
	return true;
}

static bool set_mac_key(EVP_MAC_CTX *mac, const uint8_t *key)
{
	char digest[] = "SHA256";
	/* OSSL_PARAM takes no const, and changes nothing of what it is given to read. */
	void *in = (void *)(uintptr_t)(key + MAC_KEY);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, in, MAC_KEY_BYTES),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* 1: done. 2: done, and the client should have a new ticket. 0: no such key, the handshake goes on
 * in full. -1: broken off. */
int tls_tickets_use(const struct tls_tickets *t, unsigned char name[16], unsigned char *iv,
		    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
	const uint8_t *key = t->keys[0];

	if (t->n == 0)
		return 0;
	if (sealing) {
		random_fill(iv, IV_BYTES);
		memcpy(name, key + NAME, NAME_BYTES);
		return EVP_EncryptInit_ex2(cipher, t->cipher, key + CIPHER_KEY, iv, NULL) == 1 &&
				       set_mac_key(mac, key)
			       ? 1
			       : -1;
	}
	for (size_t i = 0; i < t->n; i++) {
		key = t->keys[i];
		if (memcmp(name, key + NAME, NAME_BYTES) != 0)
			continue;
		if (EVP_DecryptInit_ex2(cipher, t->cipher, key + CIPHER_KEY, iv, NULL) != 1 ||
		    !set_mac_key(mac, key))
			return -1;
		return i == 0 ? 1 : 2;
	}
	return 0;
}
