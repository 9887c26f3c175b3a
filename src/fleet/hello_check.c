#include "fleet/hello_check.h"

#include <string.h>

static enum bw_code differs(struct bw_error *err, const char *what, struct bw_view claimed,
                            const char *enrolled)
{
    return bw_fail(err, BW_PERMISSION_DENIED, "CLAIM_DIFFERS",
                   "the relay says its %s is '%.*s', but it is enrolled with '%s'; correct the relay's "
                   "configuration or enrol it again",
                   what, (int)(claimed.len > 80 ? 80 : claimed.len), (const char *)claimed.data, enrolled);
}

static enum bw_code check_text(struct bw_view claimed, const char *enrolled, const char *what,
                               struct bw_error *err)
{
    if (enrolled == NULL)
        enrolled = "";
    if (claimed.len == 0 || bw_view_equal_str(claimed, enrolled))
        return BW_OK;
    return differs(err, what, claimed, enrolled);
}

static bool enrolled_under(const struct bw_enrolment *enrolment, struct bw_view jurisdiction)
{
    for (size_t i = 0; i < enrolment->jurisdiction_count; i++) {
        if (bw_view_equal_str(jurisdiction, enrolment->jurisdictions[i]))
            return true;
    }
    return false;
}

/* Sets must be equal: claiming fewer hides one, claiming more invents one. */
static enum bw_code check_jurisdictions(const struct bw_claims *claims, const struct bw_enrolment *enrolment,
                                        struct bw_error *err)
{
    for (size_t i = 0; i < claims->jurisdiction_count; i++) {
        if (!enrolled_under(enrolment, claims->jurisdictions[i]))
            return differs(err, "operator's jurisdiction", claims->jurisdictions[i], "others");
    }
    for (size_t e = 0; e < enrolment->jurisdiction_count; e++) {
        bool claimed = false;
        for (size_t i = 0; i < claims->jurisdiction_count; i++)
            claimed = claimed || bw_view_equal_str(claims->jurisdictions[i], enrolment->jurisdictions[e]);
        if (!claimed)
            return bw_fail(err, BW_PERMISSION_DENIED, "CLAIM_DIFFERS",
                           "the relay leaves out its operator's jurisdiction '%s', with which it is "
                           "enrolled; correct the relay's configuration or enrol it again",
                           enrolment->jurisdictions[e]);
    }
    return BW_OK;
}

enum bw_code bw_hello_check(const struct bw_hello *hello, const struct bw_enrolment *enrolment,
                            uint32_t *protocol, struct bw_error *err)
{
    const struct bw_claims *claims = &hello->claims;
    enum bw_code code;
    if (hello->protocol_min > hello->protocol_max || bw_id_is_zero(&hello->boot_id) ||
        hello->session_secret.len != BW_SESSION_SECRET || hello->media_address_count == 0)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "Hello lacks what a session needs");
    /* An epoch that could overflow is no epoch that was ever given out. */
    if (hello->last_session_epoch >= UINT64_MAX / 2)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "Hello names a session epoch that cannot be");
    if (hello->protocol_max < BW_FLEET_PROTOCOL_MIN || hello->protocol_min > BW_FLEET_PROTOCOL_MAX)
        return bw_fail(err, BW_FAILED_PRECONDITION, "PROTOCOL_VERSION",
                       "the relay speaks session protocol %u to %u, this server %d to %d; update the older",
                       (unsigned)hello->protocol_min, (unsigned)hello->protocol_max, BW_FLEET_PROTOCOL_MIN,
                       BW_FLEET_PROTOCOL_MAX);
    if (hello->capacity > enrolment->capacity)
        return bw_fail(err, BW_PERMISSION_DENIED, "CLAIM_DIFFERS",
                       "the relay offers room for %u participants, but it is enrolled with %u",
                       (unsigned)hello->capacity, (unsigned)enrolment->capacity);
    if ((code = check_text(claims->site, enrolment->site, "site", err)) != BW_OK ||
        (code = check_text(claims->region, enrolment->region, "region", err)) != BW_OK ||
        (code = check_text(claims->country, enrolment->country, "country", err)) != BW_OK)
        return code;
    if (claims->has_operator) {
        code = check_text(claims->operator_name, enrolment->operator_name, "operator", err);
        if (code == BW_OK && claims->jurisdiction_count > 0)
            code = check_jurisdictions(claims, enrolment, err);
        if (code != BW_OK)
            return code;
    }
    *protocol = hello->protocol_max < BW_FLEET_PROTOCOL_MAX ? hello->protocol_max : BW_FLEET_PROTOCOL_MAX;
    return BW_OK;
}
