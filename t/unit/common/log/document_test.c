#include "common/log/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"

static bool has(const struct buf *page, const char *text)
{
	return slice_find_slice(buf_slice(page), slice_of_cstr(text)) != SIZE_MAX;
}

static void the_page_names_every_event_with_its_level_and_every_key(void **state)
{
	struct buf page;

	(void)state;
	buf_init(&page, 1u << 20);
	assert_true(log_print_mdoc(&page));
#define EVENT(name, level, text) assert_true(has(&page, "\n.It Sy " #name " Pq "));
	LOG_EVENTS(EVENT)
#undef EVENT
#define KEY(name, text) assert_true(has(&page, "\n.It Va " #name "\n"));
	LOG_KEYS(KEY)
#undef KEY
	assert_true(has(&page, ".It Sy disk_full Pq error\nThe disk is full; "));
	buf_fini(&page);
}

static void a_page_without_room_says_so(void **state)
{
	struct buf page;

	(void)state;
	buf_init(&page, 100);
	assert_false(log_print_mdoc(&page));
	buf_fini(&page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_names_every_event_with_its_level_and_every_key),
		cmocka_unit_test(a_page_without_room_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
