/* User patterns. */
#include "reading_policy.h"

static bool matches(const char *pattern, const char *user)
{
    struct bw_user_pattern parsed;
    const char *why = bw_user_pattern_parse(bw_view_str(pattern), &parsed);
    if (why)
        fail_msg("%s: %s", pattern, why);
    return bw_user_pattern_matches(&parsed, bw_view_str(user));
}

static void a_user_matches_as_written(void **state)
{
    (void)state;
    assert_true(matches("user:dr.x@board.example", "dr.x@board.example"));
    assert_false(matches("user:dr.x@board.example", "dr.y@board.example"));
    assert_false(matches("user:dr.x@board.example", "dr.x@board.example.test"));
}

static void the_domain_ignores_case_and_the_local_part_does_not(void **state)
{
    (void)state;
    assert_true(matches("user:Dr.X@BOARD.Example", "Dr.X@board.eXAMPLE"));
    assert_false(matches("user:dr.x@board.example", "Dr.X@board.example"));
}

static void a_star_stands_for_any_local_part_or_its_rest(void **state)
{
    (void)state;
    assert_true(matches("user:*@board.example", "anyone@board.example"));
    assert_false(matches("user:*@board.example", "anyone@sub.board.example"));
    assert_false(matches("user:*@board.example", "anyone@xboard.example"));
    assert_true(matches("user:surgery-*@x.example", "surgery-7@x.example"));
    assert_true(matches("user:surgery-*@x.example", "surgery-@x.example"));
    assert_false(matches("user:surgery-*@x.example", "surgery@x.example"));
    assert_true(matches("user:*", "who@ever.example"));
    assert_false(matches("user:*", "not a user"));
}

static void a_star_label_stands_for_subdomains_only(void **state)
{
    (void)state;
    assert_true(matches("user:*@*.example", "a@b.example"));
    assert_true(matches("user:*@*.example", "a@c.b.EXAMPLE"));
    assert_false(matches("user:*@*.x.example", "a@x.example"));
    assert_false(matches("user:*@*.x.example", "a@yx.example"));
    assert_false(matches("user:*@*.example", "a@.example"));
}

static void other_forms_are_no_patterns(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "user:",
                                      "*@x.example",
                                      "User:a@x.example",
                                      "user:a",
                                      "user:@x.example",
                                      "user:a@",
                                      "user:a@b@x.example",
                                      "user:a*b@x.example",
                                      "user:*a@x.example",
                                      "user:**@x.example",
                                      "user:a@*",
                                      "user:a@*x.example",
                                      "user:a@x.*.example",
                                      "user:a@-x.example",
                                      "user:a@x-.example",
                                      "user:a@x..example",
                                      "user:a@x.example.",
                                      "user:a b@x.example",
                                      "user:\xc3\xa9@x.example",
                                      "user:a@x_y.example"};
    struct bw_user_pattern parsed = {.everyone = true}, before = parsed;
    for (size_t i = 0; i < BW_ARRAY_LEN(bad); i++) {
        const char *why = bw_user_pattern_parse(bw_view_str(bad[i]), &parsed);
        if (!why)
            fail_msg("%s was taken", bad[i]);
        assert_true(strlen(why) > 0);
    }
    assert_memory_equal(&parsed, &before, sizeof(parsed));
}

static void users_have_bounds(void **state)
{
    (void)state;
    char user[300];
    memset(user, 'a', sizeof(user));
    memcpy(user + 242, "@x.example\0", 12);
    assert_int_equal(strlen(user), 252);
    assert_true(bw_user_valid(bw_view_str(user)));
    memset(user, 'a', sizeof(user));
    memcpy(user + 245, "@x.example\0", 12);
    assert_false(bw_user_valid(bw_view_str(user)));
    assert_false(bw_user_valid(bw_view_str("a*@x.example")));
    assert_false(bw_user_valid(bw_view_of("a\0b@x.example", 13)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_matches_as_written),
        cmocka_unit_test(the_domain_ignores_case_and_the_local_part_does_not),
        cmocka_unit_test(a_star_stands_for_any_local_part_or_its_rest),
        cmocka_unit_test(a_star_label_stands_for_subdomains_only),
        cmocka_unit_test(other_forms_are_no_patterns),
        cmocka_unit_test(users_have_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
