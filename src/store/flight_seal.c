/* What is sealed for a group: one roster record a tenant, from the notes of its rows. */
#include <stdlib.h>

#include "base/alloc.h"
#include "store/flight.h"

void bw_store_flight_unseal(struct bw_store_flight *flight)
{
    for (uint32_t i = 0; i < flight->roster_count; i++)
        bw_buf_finish(&flight->rosters[i].record);
    flight->roster_count = flight->key_count = 0;
}

static struct bw_store_roster *add_roster(struct bw_store_flight *flight)
{
    if (flight->roster_count == flight->roster_capacity) {
        uint32_t capacity = flight->roster_capacity > 0 ? 2 * flight->roster_capacity : 8;
        struct bw_store_roster *more = bw_realloc(flight->rosters, capacity * sizeof *more);
        if (more == NULL)
            return NULL;
        flight->rosters = more;
        flight->roster_capacity = capacity;
    }
    struct bw_store_roster *roster = &flight->rosters[flight->roster_count];
    *roster = (struct bw_store_roster){0};
    return roster;
}

/* Seals the notes of every row of this tenant from `first` on. Rows whose note could not be sealed have none.
 */
static void seal_tenant(struct bw_store_flight *flight, const struct bw_store_sealing *sealing,
                        uint32_t first)
{
    const struct bw_id tenant = flight->rows[first]->row.tenant;
    uint32_t number = flight->roster_count, count = 0;
    for (uint32_t i = first; i < flight->count; i++) {
        const struct bw_store_row *row = &flight->rows[i]->row;
        if (row->note.len == 0 || !bw_id_equal(&row->tenant, &tenant))
            continue;
        flight->notes[i] = (struct bw_store_note){.roster = number, .index = count, .tried = true};
        flight->note_views[count++] = row->note;
    }
    struct bw_store_roster *roster = add_roster(flight);
    if (roster != NULL && sealing->seal(sealing->context, &tenant, flight->note_views, count, roster)) {
        roster->tenant = tenant;
        flight->roster_count++;
        return;
    }
    for (uint32_t i = first; i < flight->count; i++)
        if (flight->notes[i].roster == number)
            flight->notes[i].roster = BW_STORE_NOTE_NONE;
}

static int by_id(const void *a, const void *b)
{
    const struct bw_store_meeting_key *x = *(const struct bw_store_meeting_key *const *)a;
    const struct bw_store_meeting_key *y = *(const struct bw_store_meeting_key *const *)b;
    return bw_id_compare(&x->id, &y->id);
}

/* The keys of the rosters and of their entries, each once, in the order of their ids. */
static bool collect_keys(struct bw_store_flight *flight)
{
    uint32_t most = flight->count + flight->roster_count, count = 0, distinct = 0;
    if (most > flight->key_capacity) {
        const struct bw_store_meeting_key **more = bw_realloc(flight->keys, most * sizeof(*more));
        if (more == NULL)
            return false;
        flight->keys = more;
        flight->key_capacity = most;
    }
    for (uint32_t i = 0; i < flight->roster_count; i++)
        if (!bw_id_is_zero(&flight->rosters[i].key.id))
            flight->keys[count++] = &flight->rosters[i].key;
    for (uint32_t i = 0; i < flight->count; i++)
        if (flight->rows[i]->row.key != NULL)
            flight->keys[count++] = flight->rows[i]->row.key;
    if (count > 0)
        qsort(flight->keys, count, sizeof(struct bw_store_meeting_key *), by_id);
    for (uint32_t i = 0; i < count; i++)
        if (i == 0 || !bw_id_equal(&flight->keys[i]->id, &flight->keys[i - 1]->id))
            flight->keys[distinct++] = flight->keys[i];
    flight->key_count = distinct;
    return true;
}

void bw_store_flight_seal(struct bw_store_flight *flight, const struct bw_store_sealing *sealing)
{
    bw_store_flight_unseal(flight);
    for (uint32_t i = 0; i < flight->count; i++)
        flight->notes[i] = (struct bw_store_note){.roster = BW_STORE_NOTE_NONE};
    if (sealing->seal == NULL)
        return;
    for (uint32_t i = 0; i < flight->count; i++)
        if (flight->rows[i]->row.note.len > 0 && !flight->notes[i].tried)
            seal_tenant(flight, sealing, i);
    flight->keys_lost = !collect_keys(flight);
}
