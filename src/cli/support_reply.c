/* What a supporter can send to somebody who was refused: in their terms, with what they can do, and nothing
 * about relays, operators or other tenants. */
#include <stdlib.h>

#include "cli/support.h"
#include "policy/reason.h"

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static bool has(const json_t *refusal, enum bw_reason reason)
{
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(refusal, "reasons"), i, item)
    {
        const char *name = json_string_value(item);
        if (name != NULL && bw_reason_parse(name) == reason)
            return true;
    }
    return false;
}

/* Every relay was refused for this reason, whatever else. */
static bool all_relays_have(const json_t *refusal, const enum bw_reason *reasons, size_t count)
{
    const json_t *relays = json_object_get(refusal, "relays"), *relay;
    size_t i;
    json_array_foreach(relays, i, relay)
    {
        bool found = false;
        for (size_t r = 0; r < count; r++)
            found = found || has(relay, reasons[r]);
        if (!found)
            return false;
    }
    return json_array_size(relays) > 0;
}

struct reply {
    const char *why, *what_now;
};

static struct reply reply_for(const json_t *refusal)
{
    static const enum bw_reason passing[] = {BW_REASON_RELAY_STATE, BW_REASON_LEASE_EXPIRED,
                                             BW_REASON_DRAINING, BW_REASON_CAPACITY, BW_REASON_BURST_LIMIT};
    if (has(refusal, BW_REASON_ENTRY_COUNTRY))
        return text_at(refusal, "country")[0] != '\0'
                   ? (struct reply){"the organiser's rules do not let anybody join from the country you were "
                                    "in",
                                    "If you were not there, a VPN or proxy may have made it look so: turn it "
                                    "off and "
                                    "join again. Otherwise the organiser can ask their administrator for an "
                                    "exception."}
                   : (struct reply){
                         "it could not be told which country you joined from, and the organiser's rules "
                         "require that",
                         "Turn off a VPN or proxy if you use one, and join again."};
    if (has(refusal, BW_REASON_CONNECTOR_REQUIRED))
        return (struct reply){
            "this meeting must have a recording or another service in it before anybody is let in, "
            "and it was not there yet",
            "Please try again in a few minutes; if it goes on, tell the organiser."};
    if (has(refusal, BW_REASON_CONNECTOR_FORBIDDEN))
        return (struct reply){
            "the organiser's rules do not admit this kind of connection (such as a telephone) to "
            "this meeting",
            "Please join with the application or a browser instead."};
    if (has(refusal, BW_REASON_PARTICIPANT_POLICY) &&
        json_array_size(json_object_get(refusal, "clauses")) == 0)
        return (struct reply){
            "the meeting is end-to-end encrypted and the application you used cannot do that, or "
            "your organisation is not known to the organiser's",
            "Please join with a current version of the application; if you did, ask the organiser."};
    if (has(refusal, BW_REASON_PARTICIPANT_POLICY))
        return (struct reply){
            "your own organisation's rules do not let its members join a meeting that goes where "
            "this one goes",
            "Your own administrator can tell you which rule it is; the organiser cannot change it."};
    if (all_relays_have(refusal, passing, sizeof passing / sizeof passing[0]))
        return (struct reply){
            "none of our servers that may carry this meeting had room or was available at that "
            "moment",
            "Please try again now; this passes."};
    return (struct reply){
        "no server that satisfies the rules of the organiser's organisation could carry your part "
        "of this meeting",
        "The organiser can ask their administrator, who sees the rule under this reference."};
}

void bw_support_reply(const json_t *refusal, struct bw_buf *out)
{
    struct reply reply = reply_for(refusal);
    bw_buf_append_str(out, "You tried to join a meeting on ");
    bw_time_print(strtoull(text_at(refusal, "atUnixMs"), NULL, 10), out);
    bw_buf_printf(out, " and were not let in: %s. %s Please quote reference ", reply.why, reply.what_now);
    bw_text_harmless(out, text_at(refusal, "reference"));
    bw_buf_append_str(out, " if you write to us again.\n");
}
