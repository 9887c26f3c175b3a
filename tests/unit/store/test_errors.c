#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "store/db.h"
#include "store/sqlstate.h"
#include "store/writer.h"

static void sqlstates_have_the_code_that_callers_act_on(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        enum bw_code code;
        const char *reason;
        bool ours;
    } cases[] = {
        {NULL, BW_UNAVAILABLE, NULL, false},
        {"08006", BW_UNAVAILABLE, NULL, false},
        {"57P01", BW_UNAVAILABLE, NULL, false},
        {"57P03", BW_UNAVAILABLE, NULL, false},
        {"57014", BW_UNAVAILABLE, "DATABASE_SLOW", false},
        {"25006", BW_UNAVAILABLE, "DATABASE_READ_ONLY", false},
        {"40001", BW_ABORTED, "CONTENDED", false},
        {"40P01", BW_ABORTED, "CONTENDED", false},
        {"53100", BW_RESOURCE_EXHAUSTED, "DISK_FULL", false},
        {"53300", BW_RESOURCE_EXHAUSTED, "DATABASE_CONNECTIONS", false},
        {"53200", BW_RESOURCE_EXHAUSTED, NULL, false},
        {"42P01", BW_FAILED_PRECONDITION, "SCHEMA_OLD", false},
        {"23505", BW_ALREADY_EXISTS, NULL, false},
        {"23514", BW_INVALID_ARGUMENT, NULL, false},
        {"XX001", BW_DATA_LOSS, NULL, false},
        {"42601", BW_INTERNAL, NULL, false},
        {"P0001", BW_INTERNAL, NULL, false},
        {"BW001", BW_FAILED_PRECONDITION, "FENCED", true},
        {"BW002", BW_ABORTED, "STALE_POLICY", true},
        {"BW003", BW_ABORTED, "STALE_FACTS", true},
        {"BW004", BW_ABORTED, "REVISION_CONFLICT", true},
        {"BW006", BW_NOT_FOUND, NULL, true},
    };
    for (size_t i = 0; i < BW_ARRAY_LEN(cases); i++) {
        const struct bw_sqlstate *meaning = bw_sqlstate_of(cases[i].sqlstate);
        assert_int_equal(meaning->code, cases[i].code);
        assert_int_equal(meaning->ours, cases[i].ours);
        if (cases[i].reason == NULL)
            assert_null(meaning->reason);
        else
            assert_string_equal(meaning->reason, cases[i].reason);
        assert_true(meaning->ours || meaning->show != NULL);
    }
}

static void every_outcome_but_committed_is_an_error_with_words(void **state)
{
    (void)state;
    struct bw_error error;
    assert_int_equal(bw_store_outcome_error(BW_STORE_COMMITTED, &error), BW_OK);
    for (int i = BW_STORE_COMMITTED + 1; i <= BW_STORE_REFUSED; i++) {
        memset(&error, 0, sizeof error);
        assert_int_not_equal(bw_store_outcome_error((enum bw_store_outcome)i, &error), BW_OK);
        assert_true(error.show[0] != '\0');
        assert_true(bw_store_outcome_name((enum bw_store_outcome)i)[0] != '\0');
    }
    assert_string_equal(bw_store_outcome_name(BW_STORE_STALE_KEY), "STALE_KEY");
}

static void the_schema_version_is_the_number_of_migrations(void **state)
{
    (void)state;
    DIR *dir = opendir(BW_SOURCE_DIR "/schema");
    assert_non_null(dir);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += strstr(entry->d_name, ".sql") != NULL;
    closedir(dir);
    assert_int_equal(count, BW_STORE_SCHEMA_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sqlstates_have_the_code_that_callers_act_on),
        cmocka_unit_test(every_outcome_but_committed_is_an_error_with_words),
        cmocka_unit_test(the_schema_version_is_the_number_of_migrations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
