/* common/ipc/frame.h: a message as octets and back, made from the table in messages.h.
 * Touches: nothing. The decoder treats its input as hostile: bounds, types, sizes; its error is sticky, and a message is whole
 * or refused. A frame: length of what follows (u32), type (u16), request id (u32; 0 is a notice), the fields. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/address.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/slice.h"
#include "common/ipc/messages.h"

#define IPC_FRAME_MAX (16u << 20)
#define IPC_FRAME_HEADER 10

enum ipc_role {
#define R(name, text) IPC_ROLE_##name,
	IPC_ROLES(R)
#undef R
	IPC_N_ROLES
};

enum ipc_type {
#define M(number, name, from, to, fields) IPC_TYPE_##name = number,
	IPC_MESSAGES(M)
#undef M
};

#define IPC_FIELD_u8(name, ...) uint8_t name;
#define IPC_FIELD_u16(name, ...) uint16_t name;
#define IPC_FIELD_u32(name, ...) uint32_t name;
#define IPC_FIELD_u64(name, ...) uint64_t name;
#define IPC_FIELD_flag(name, ...) bool name;
#define IPC_FIELD_ip(name, ...) struct ip name;
#define IPC_FIELD_text(name, ...) struct slice name;
#define IPC_FIELD_octets(name, ...) struct slice name;
#define IPC_FIELD_fault(name, ...) struct fault name;
#define IPC_STRUCT_FIELD(kind, ...) IPC_FIELD_##kind(__VA_ARGS__)

#define M(number, name, from, to, fields) \
	struct ipc_##name { fields(IPC_STRUCT_FIELD) };
IPC_MESSAGES(M)
#undef M
#define R(name, fields) \
	struct ipc_##name { fields(IPC_STRUCT_FIELD) };
IPC_RECORDS(R)
#undef R

struct ipc_message {
	enum ipc_type type;
	union {
#define M(number, name, from, to, fields) struct ipc_##name name;
		IPC_MESSAGES(M)
#undef M
	};
};

/* A message of one type, to be filled: struct ipc_message m = IPC_MESSAGE(rcpt_ask, .client = ip, …); */
#define IPC_MESSAGE(name, ...) ((struct ipc_message){.type = IPC_TYPE_##name, .name = {__VA_ARGS__}})

/* Appends a whole frame. False: a field passes its maximum (our mistake or a peer's word too long), or there is no room; out is as before. */
MUST_USE bool ipc_encode(const struct ipc_message *m, uint32_t request, struct buf *out, struct fault *why);
/* The length of the frame that begins at octets (header included); 0: more octets are needed to know. False: it can be no frame. */
MUST_USE bool ipc_frame_length(struct slice octets, size_t *length, struct fault *why);
/* frame is exactly one frame. m's slices point into it. Fails, permanent: what was wrong, which field. */
MUST_USE bool ipc_decode(struct slice frame, struct ipc_message *m, uint32_t *request, struct fault *why);
/* May from send m's type to to? Masks are not given; one role each. */
bool ipc_permitted(enum ipc_type type, enum ipc_role from, enum ipc_role to);
/* Appends the message in words, "rcpt_ask client=192.0.2.1 …", cut at out's maximum. Passwords, keys and signatures are left out. */
void ipc_print(const struct ipc_message *m, struct buf *out);
const char *ipc_role_name(enum ipc_role role);

/* Records of a list field. put appends one (false: no room or a field too long). next takes the first off *list; false when the list is at its
 * end, or broken: then *broken is set, and the caller refuses the message. count says how many there are; 0: none, or the list is broken, and why says which, permanent. */
#define R(name, fields)                                                          \
	MUST_USE bool ipc_put_##name(struct buf *list, const struct ipc_##name *record); \
	MUST_USE bool ipc_next_##name(struct slice *list, struct ipc_##name *record, bool *broken); \
	size_t ipc_count_##name(struct slice list, struct fault *why);
IPC_RECORDS(R)
#undef R
