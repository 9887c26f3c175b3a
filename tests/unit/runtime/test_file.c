#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check_alloc.h"
#include "runtime/file.h"

static char folder[64], path[128];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/bw-file-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/signer.key", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails when something was left behind */
}

static void a_new_file_has_its_mode_and_content_and_is_never_replaced(void **state)
{
    (void)state;
    struct bw_error err;
    mode_t umask_before = umask(0777);
    assert_int_equal(bw_file_create(path, 0600, bw_view_str("secret"), &err), BW_OK);
    umask(umask_before);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(bw_file_create(path, 0600, bw_view_str("other"), &err), BW_ALREADY_EXISTS);
    assert_non_null(strstr(err.show, path));
    struct bw_buf text = {0};
    assert_int_equal(bw_file_read_secret(path, 6, &text, &err), BW_OK);
    assert_true(bw_view_equal_str(bw_buf_view(&text), "secret"));
    bw_buf_finish(&text);
}

static void a_key_that_others_may_read_is_refused_with_the_remedy(void **state)
{
    (void)state;
    struct bw_error err;
    assert_int_equal(bw_file_create(path, 0640, bw_view_str("secret"), &err), BW_OK);
    struct bw_buf text = {0};
    assert_int_equal(bw_file_read_secret(path, 100, &text, &err), BW_PERMISSION_DENIED);
    assert_non_null(strstr(err.show, "chmod 600"));
    assert_int_equal(text.len, 0);
    assert_int_equal(bw_file_read(path, 100, &text, &err), BW_OK);
    bw_buf_clear(&text);
    assert_int_equal(chmod(path, 0604), 0);
    assert_int_equal(bw_file_read_secret(path, 100, &text, &err), BW_PERMISSION_DENIED);
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(bw_file_read_secret(path, 100, &text, &err), BW_OK);
    bw_buf_finish(&text);
}

static void what_is_no_small_regular_file_is_refused(void **state)
{
    (void)state;
    struct bw_error err;
    struct bw_buf text = {0};
    assert_int_equal(bw_file_read(path, 100, &text, &err), BW_NOT_FOUND);
    assert_int_equal(bw_file_read(folder, 100, &text, &err), BW_INVALID_ARGUMENT);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(bw_file_read(path, 100, &text, &err), BW_INVALID_ARGUMENT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(bw_file_create(path, 0600, bw_view_str("12345"), &err), BW_OK);
    assert_int_equal(bw_file_read(path, 4, &text, &err), BW_INVALID_ARGUMENT);
    assert_int_equal(text.len, 0);
    assert_int_equal(bw_file_read(path, 5, &text, &err), BW_OK);
    assert_int_equal(bw_file_create("/tmp/bw-no-such-folder/x", 0600, bw_view_str("1"), &err), BW_NOT_FOUND);
    bw_buf_finish(&text);
}

static bool write_and_read(void *context)
{
    (void)context;
    struct bw_buf text = {0};
    unlink(path);
    bool ok = bw_file_create(path, 0600, bw_view_str("x"), NULL) == BW_OK &&
              bw_file_read(path, 10, &text, NULL) == BW_OK;
    bw_buf_finish(&text);
    return ok;
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(bw_fail_each_allocation(write_and_read, NULL, true), 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_new_file_has_its_mode_and_content_and_is_never_replaced),
        T(a_key_that_others_may_read_is_refused_with_the_remedy),
        T(what_is_no_small_regular_file_is_refused),
        T(running_out_of_memory_is_an_error),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
