/* SupportService.SearchMeetings: which meetings a tenant had, and how they went. From what is kept in clear
 * (codes and counts): nothing sealed is opened for it. */
#include <string.h>

#include "api/gate.h"
#include "api/support.h"

enum {
    LONGEST_MS = 86400000, /* a meeting that began longer before the range is not looked for */
    ROUNDS_MAX = 20,       /* of looking for more that touch the range, before the page goes out */
};

struct searching {
    const Bailiwick__V1__SearchMeetingsRequest *request;
    uint32_t limit, rounds;
    struct bw_id below;
    bool exhausted;
    Bailiwick__V1__SearchMeetingsResponse response;
};

static bool unsupported(struct bw_api_call *call, const Bailiwick__V1__SearchMeetingsRequest *request)
{
    const char *field = NULL;
    if (request->asn != 0)
        field = "asn";
    else if (request->client_version[0] != '\0')
        field = "client_version";
    else if (request->transport[0] != '\0')
        field = "transport";
    if (field != NULL) {
        bw_api_fail_later(
            call, "meetings cannot be searched by `%s` yet: nothing is kept in clear to search by", field);
        return true;
    }
    if (request->participant[0] != '\0')
        field = "participant";
    else if (request->address_prefix[0] != '\0')
        field = "address_prefix";
    if (field != NULL)
        bw_api_fail_later(
            call,
            "meetings cannot be searched by `%s` yet: who took part lies sealed, and there is no "
            "index of it",
            field);
    return field != NULL;
}

/* The relays of a name or a site, as numbers. Those that are not enrolled any more are not found. */
static bool relays_of(struct bw_api_call *call, const Bailiwick__V1__SearchMeetingsRequest *request,
                      struct bw_desk_filter *filter)
{
    const struct bw_fleet_view *view = bw_api_view_of(call);
    filter->by_relay = request->relay[0] != '\0' || request->site[0] != '\0';
    if (!filter->by_relay || view == NULL)
        return true;
    const struct bw_facts *facts = view->snapshot->facts;
    uint32_t *numbers = bw_arena_zalloc(call->arena, facts->relay_count + 1, sizeof *numbers);
    if (numbers == NULL)
        return false;
    for (size_t i = 0; i < facts->relay_count; i++) {
        const struct bw_relay_facts *relay = &facts->relays[i];
        bool name = request->relay[0] == '\0' || strcmp(relay->name, request->relay) == 0;
        bool site =
            request->site[0] == '\0' || (relay->site != NULL && strcmp(relay->site, request->site) == 0);
        if (name && site)
            numbers[filter->relay_count++] = relay->number;
    }
    filter->relays = numbers;
    return true;
}

static void look(struct bw_api_call *call);

/* True: it belongs into the answer. */
static bool fits(const struct searching *searching, const Bailiwick__V1__MeetingQuality *meeting)
{
    const Bailiwick__V1__SearchMeetingsRequest *request = searching->request;
    bool touches = meeting->live || meeting->when->to_unix_ms >= request->when->from_unix_ms ||
                   meeting->when->from_unix_ms >= request->when->from_unix_ms;
    return touches && (request->end_reason == 0 || meeting->end_reason == request->end_reason);
}

static void reply(struct bw_api_call *call)
{
    struct searching *searching = call->state;
    if (!searching->exhausted) {
        char id[BW_ID_TEXT_SIZE];
        bw_id_format(&searching->below, id);
        searching->response.next_page_token = bw_api_page_token(call, id);
        if (searching->response.next_page_token == NULL) {
            bw_api_fail_memory(call);
            return;
        }
    }
    bw_api_reply(call, &searching->response.base);
}

static void looked(struct bw_api_call *call)
{
    struct searching *searching = call->state;
    if (call->order.error.code != BW_OK) {
        bw_api_fail(call, &call->order.error, NULL);
        return;
    }
    searching->exhausted = call->order.meetings_search.count < call->order.meetings_search.limit;
    for (size_t i = 0; i < call->order.meetings_search.count; i++) {
        const struct bw_desk_meeting *found = &call->order.meetings_search.results[i];
        struct bw_decision *last;
        struct bw_error err;
        if (searching->response.n_meetings == searching->limit) {
            searching->exhausted = false;
            break;
        }
        if (bw_api_record_decode(found->last_record, call->arena, &last, &err) != BW_OK) {
            bw_api_fail(call, &err, NULL);
            return;
        }
        Bailiwick__V1__MeetingQuality *meeting = bw_api_meeting_quality(call, found, last);
        if (meeting == NULL) {
            bw_api_fail_memory(call);
            return;
        }
        searching->below = found->id;
        if (fits(searching, meeting))
            searching->response.meetings[searching->response.n_meetings++] = meeting;
    }
    /* A page may be short, even empty, and have a next one. */
    if (searching->exhausted || searching->response.n_meetings == searching->limit ||
        ++searching->rounds == ROUNDS_MAX)
        reply(call);
    else
        look(call);
}

static void look(struct bw_api_call *call)
{
    const struct searching *searching = call->state;
    call->order.meetings_search.below = searching->below;
    call->order.meetings_search.limit = searching->limit + 1;
    bw_api_order(call, BW_DESK_MEETINGS_SEARCH, looked);
}

void bw_api_search_meetings(struct bw_api_call *call)
{
    const Bailiwick__V1__SearchMeetingsRequest *request =
        (const Bailiwick__V1__SearchMeetingsRequest *)call->request;
    const char *position;
    if (unsupported(call, request) || !bw_api_check_range(call, request->when) ||
        !bw_api_page_position(call, request->page_token, &position))
        return;
    struct searching *searching = bw_arena_zalloc(call->arena, 1, sizeof *searching);
    if (searching == NULL) {
        bw_api_fail_memory(call);
        return;
    }
    call->state = searching;
    searching->request = request;
    searching->limit = bw_api_page_size(request->page_size);
    (void)bw_id_parse(bw_view_str(position), &searching->below);
    bailiwick__v1__search_meetings_response__init(&searching->response);
    searching->response.meetings = bw_arena_zalloc(call->arena, searching->limit, sizeof(void *));
    struct bw_desk_filter *filter = &call->order.meetings_search.filter;
    *filter = (struct bw_desk_filter){.at_least = (uint8_t)request->worst_class,
                                      .reason = (uint8_t)request->reason,
                                      .poor_minutes = request->min_poor_minutes};
    if (searching->response.meetings == NULL || !relays_of(call, request, filter)) {
        bw_api_fail_memory(call);
        return;
    }
    uint64_t from_ms = (uint64_t)request->when->from_unix_ms;
    call->order.meetings_search.tenant = call->tenant;
    call->order.meetings_search.since_ms = from_ms > LONGEST_MS ? from_ms - LONGEST_MS : 0;
    call->order.meetings_search.until_ms = (uint64_t)request->when->to_unix_ms;
    look(call);
}
