#include "policy/retention.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"

static void take_shorter(uint64_t *into, const struct bw_yaml_number *number)
{
    if (number->at.line != 0 && number->value < *into)
        *into = number->value;
}

static void take_level(struct bw_retention *out, const struct bw_policy_sections *sections)
{
    take_shorter(&out->quality_ms, &sections->residency.retention.quality);
    take_shorter(&out->participants_ms, &sections->residency.retention.participants);
}

/* What it does not state it means all the same: what is below can only be shorter. */
static struct bw_retention organisations(const struct bw_policy_doc *tenant)
{
    const struct bw_policy_retention *stated = &tenant->sections.residency.retention;
    struct bw_retention out = {BW_UNSTATED_MS, BW_UNSTATED_MS, BW_RETENTION_WITHOUT_END_MS};
    take_level(&out, &tenant->sections);
    take_shorter(&out.decisions_ms, &stated->decisions);
    if (stated->quality.at.line == 0)
        out.quality_ms = BW_RETENTION_DEFAULT_MS;
    if (stated->participants.at.line == 0)
        out.participants_ms = BW_RETENTION_DEFAULT_MS;
    return out;
}

static bool is_named(const struct bw_policy_group *level, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bw_view_equal_str(level->name.text, names[i]))
            return true;
    return false;
}

struct bw_retention bw_policy_retention_of(const struct bw_policy_doc *tenant, const char *const *groups,
                                           size_t group_count, const char *const *user_levels,
                                           size_t user_level_count)
{
    struct bw_retention out = organisations(tenant);
    for (size_t i = 0; i < tenant->groups.count; i++)
        if (is_named(&tenant->groups.items[i], groups, group_count))
            take_level(&out, &tenant->groups.items[i].sections);
    for (size_t i = 0; i < tenant->users.count; i++)
        if (is_named(&tenant->users.items[i], user_levels, user_level_count))
            take_level(&out, &tenant->users.items[i].sections);
    return out;
}

struct bw_retention bw_policy_retention_shortest(const struct bw_policy_doc *tenant)
{
    struct bw_retention out = organisations(tenant);
    for (size_t i = 0; i < tenant->groups.count; i++)
        take_level(&out, &tenant->groups.items[i].sections);
    for (size_t i = 0; i < tenant->users.count; i++)
        take_level(&out, &tenant->users.items[i].sections);
    return out;
}

struct bw_retention bw_constraints_retention(const struct bw_constraints *constraints)
{
    return (struct bw_retention){constraints->retention_quality_ms, constraints->retention_participants_ms,
                                 constraints->retention_decisions_ms};
}

const char *bw_retention_text(uint64_t ms, char text[BW_RETENTION_TEXT_SIZE])
{
    static const struct {
        uint64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    text[0] = '\0';
    for (size_t i = 0; ms != BW_RETENTION_WITHOUT_END_MS && i < BW_ARRAY_LEN(units); i++) {
        /* Nothing at all is "0s". */
        if (ms % units[i].ms != 0 || (ms == 0 && units[i].ms != 1000))
            continue;
        snprintf(text, BW_RETENTION_TEXT_SIZE, "%" PRIu64 "%s", ms / units[i].ms, units[i].unit);
        break;
    }
    return text;
}
