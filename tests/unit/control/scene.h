/* Operations on a headless owner, said shortly. An ask is one operation with its answer; all asks of a scene
 * are freed with it. */
#ifndef BW_TESTS_CONTROL_SCENE_H
#define BW_TESTS_CONTROL_SCENE_H

#include "headless.h"

struct ask {
    struct bw_op op;
    struct bw_arena *arena;
    bool done;
    const struct bw_decision *decision; /* a copy; NULL: none */
    uint32_t declared;
    struct ask *next;
    /* READ: the meeting as text, so that two states can be compared. */
    struct bw_buf seen;
    bool found;
};

struct scene {
    struct bw_headless world;
    struct ask *asks;
    uint32_t requests;
};

/* With the policy of the headless world in force, unless yaml says another. */
bool scene_init(struct scene *scene, const char *yaml);
void scene_finish(struct scene *scene);
void scene_forget(struct scene *scene, struct ask *ask);

/* Prepared, not yet submitted; NULL when memory is out. */
struct ask *scene_ask(struct scene *scene, enum bw_op_kind kind, const struct bw_id *meeting);
void scene_submit(struct scene *scene, struct ask *ask);
/* Submits and settles. */
struct ask *scene_do(struct scene *scene, struct ask *ask);

/* Each asserts that memory was there, and settles. */
struct bw_id scene_create(struct scene *scene);
struct ask *scene_join(struct scene *scene, const struct bw_id *meeting, const char *country);
struct ask *scene_invite(struct scene *scene, const struct bw_id *meeting, enum bw_endpoint kind);
struct ask *scene_leave(struct scene *scene, const struct bw_id *meeting, const struct bw_id *entry);
struct ask *scene_end(struct scene *scene, const struct bw_id *meeting);
struct ask *scene_mode(struct scene *scene, const struct bw_id *meeting, enum bw_mode_event event,
                       const struct bw_id *entry, uint32_t epoch);
struct ask *scene_observe(struct scene *scene, const struct bw_id *meeting, const struct ask *who,
                          enum bw_observed state);
struct ask *scene_read(struct scene *scene, const struct bw_id *meeting);
/* The relay a participant is on now (1…); 0: not there. */
uint32_t scene_relay_of(struct scene *scene, const struct bw_id *meeting, const struct bw_id *entry);
size_t scene_people(struct scene *scene, const struct bw_id *meeting);

#endif
