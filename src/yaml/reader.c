#include "yaml/reader.h"

#include <string.h>
#include <yaml.h>

#include "base/check.h"
#include "yaml/scalar.h"
#include "yaml/text.h"

/* A collection under construction: its children so far, as a chain, since their number is not known. */
struct link {
    struct link *next;
    struct bw_yaml_node *node;
};

struct frame {
    struct bw_yaml_node *node;
    struct link *first, **last;
    size_t children; /* of a map: keys and values */
};

struct reading {
    const struct bw_source *source;
    struct bw_arena *arena;
    struct bw_diags *diags;
    yaml_parser_t parser;
    struct frame frames[BW_YAML_MAX_DEPTH];
    uint32_t depth;
    struct bw_yaml_stats stats;
    struct bw_yaml_node *root;
    bool started, ended, given_up;
};

/* libyaml's marks are 0-based and count code points; the length is known only inside one line. */
static struct bw_pos place(const yaml_event_t *event)
{
    struct bw_pos pos = {(uint32_t)event->start_mark.line + 1, (uint32_t)event->start_mark.column + 1, 1};
    if (event->end_mark.line == event->start_mark.line && event->end_mark.column > event->start_mark.column)
        pos.len = (uint32_t)(event->end_mark.column - event->start_mark.column);
    return pos;
}

static void *give_up_for_memory(struct reading *r)
{
    r->diags->out_of_memory = true;
    r->given_up = true;
    return NULL;
}

static struct bw_yaml_node *new_node(struct reading *r, enum bw_yaml_kind kind, struct bw_pos at)
{
    struct bw_yaml_node *node = bw_arena_zalloc(r->arena, 1, sizeof(*node));
    if (!node)
        return give_up_for_memory(r);
    node->kind = kind;
    node->at = at;
    return node;
}

/* Hangs a finished or just opened node into the open collection, or makes it the root. */
static void attach(struct reading *r, struct bw_yaml_node *node)
{
    if (r->depth == 0) {
        r->root = node;
        return;
    }
    struct frame *frame = &r->frames[r->depth - 1];
    if (frame->node->kind == BW_YAML_MAP && frame->children == 2 * BW_YAML_MAX_KEYS) {
        bw_diag_add(r->diags, r->source, BW_P_TOO_MANY, node->at, "more than %d keys in one map",
                    BW_YAML_MAX_KEYS);
        r->given_up = true;
        return;
    }
    struct link *link = bw_arena_alloc(r->arena, sizeof(*link));
    if (!link) {
        give_up_for_memory(r);
        return;
    }
    *link = (struct link){.node = node};
    *frame->last = link;
    frame->last = &link->next;
    frame->children++;
}

static bool awaits_key(const struct reading *r)
{
    return r->depth > 0 && r->frames[r->depth - 1].node->kind == BW_YAML_MAP &&
           r->frames[r->depth - 1].children % 2 == 0;
}

static void open_collection(struct reading *r, enum bw_yaml_kind kind, struct bw_pos at)
{
    if (awaits_key(r))
        bw_diag_add(r->diags, r->source, BW_P_COMPLEX_KEY, at, "a key must be a plain name, not a %s",
                    kind == BW_YAML_LIST ? "list" : "map");
    if (r->depth == BW_YAML_MAX_DEPTH) {
        bw_diag_add(r->diags, r->source, BW_P_TOO_DEEP, at, "nested deeper than %d levels",
                    BW_YAML_MAX_DEPTH);
        r->given_up = true;
        return;
    }
    struct bw_yaml_node *node = new_node(r, kind, at);
    if (!node)
        return;
    attach(r, node);
    struct frame *frame = &r->frames[r->depth++];
    *frame = (struct frame){.node = node};
    frame->last = &frame->first;
    if (r->depth > r->stats.max_depth)
        r->stats.max_depth = r->depth;
}

static void close_list(struct reading *r, struct frame *frame)
{
    struct bw_yaml_node *node = frame->node;
    node->items = bw_arena_zalloc(r->arena, frame->children ? frame->children : 1, sizeof(node->items[0]));
    if (!node->items) {
        give_up_for_memory(r);
        return;
    }
    for (struct link *link = frame->first; link; link = link->next)
        node->items[node->count++] = link->node;
}

/* Pairs up keys and values; a second statement of a key is reported with the first one's place and left out.
 * BW_YAML_MAX_KEYS bounds the comparing. */
static void close_map(struct reading *r, struct frame *frame)
{
    struct bw_yaml_node *node = frame->node;
    size_t pairs = frame->children / 2;
    node->entries = bw_arena_zalloc(r->arena, pairs ? pairs : 1, sizeof(node->entries[0]));
    if (!node->entries) {
        give_up_for_memory(r);
        return;
    }
    for (struct link *link = frame->first; link && link->next; link = link->next->next) {
        struct bw_yaml_node *key = link->node;
        size_t i = 0;
        if (key->kind != BW_YAML_SCALAR)
            continue;
        while (i < node->count && !bw_view_equal(node->entries[i].key->text, key->text))
            i++;
        if (i == node->count) {
            node->entries[node->count++] = (struct bw_yaml_entry){key, link->next->node};
            continue;
        }
        struct bw_diag *diag = bw_diag_add(r->diags, r->source, BW_P_DUPLICATE_KEY, key->at,
                                           "\"%.*s\" is stated twice; which one counts would be a guess",
                                           (int)key->text.len, (const char *)key->text.data);
        bw_diag_relate(r->diags, diag, r->source, node->entries[i].key->at, "first stated here");
    }
}

static void close_collection(struct reading *r)
{
    BW_CHECK(r->depth > 0);
    struct frame *frame = &r->frames[--r->depth];
    if (frame->node->kind == BW_YAML_LIST)
        close_list(r, frame);
    else
        close_map(r, frame);
}

static void take_scalar(struct reading *r, const yaml_event_t *event)
{
    struct bw_pos at = place(event);
    size_t len = event->data.scalar.length;
    bool quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (len > BW_YAML_MAX_SCALAR_BYTES) {
        bw_diag_add(r->diags, r->source, BW_P_SCALAR_TOO_LONG, at,
                    "a value of %zu bytes; at most %d are read", len, BW_YAML_MAX_SCALAR_BYTES);
        len = 0;
    }
    bool broken = event->data.scalar.length > BW_YAML_MAX_SCALAR_BYTES;
    struct bw_yaml_node *node = new_node(r, broken ? BW_YAML_BROKEN : BW_YAML_SCALAR, at);
    char *text = node ? bw_arena_strndup(r->arena, (const char *)event->data.scalar.value, len) : NULL;
    if (!text) {
        give_up_for_memory(r);
        return;
    }
    node->text = bw_view_of(text, len);
    node->quoted = quoted;
    if (awaits_key(r) && !broken && bw_view_equal_str(node->text, "<<")) {
        bw_diag_add(r->diags, r->source, BW_P_MERGE_KEY, at,
                    "merge keys (<<) are not used here; write the values where they apply");
        node->kind = BW_YAML_BROKEN;
    }
    attach(r, node);
}

static void refuse_anchor(struct reading *r, const yaml_event_t *event, const yaml_char_t *anchor)
{
    if (anchor)
        bw_diag_add(r->diags, r->source, BW_P_ANCHOR, place(event),
                    "anchors (&%s) are not used here; write the value where it applies",
                    (const char *)anchor);
}

static void refuse_tag(struct reading *r, const yaml_event_t *event, const yaml_char_t *tag)
{
    if (tag)
        bw_diag_add(r->diags, r->source, BW_P_TAG, place(event),
                    "tags (%s) are not used here; the kind of a value comes from its key", (const char *)tag);
}

static void take_alias(struct reading *r, const yaml_event_t *event)
{
    bw_diag_add(r->diags, r->source, BW_P_ALIAS, place(event),
                "aliases (*%s) are not used here; write the value where it applies%s",
                (const char *)event->data.alias.anchor, "; a text that begins with * goes in quotes");
    struct bw_yaml_node *node = new_node(r, BW_YAML_BROKEN, place(event));
    if (node)
        attach(r, node);
}

static void start_document(struct reading *r, const yaml_event_t *event)
{
    struct bw_pos at = place(event);
    at.len = 1;
    if (r->started) {
        bw_diag_add(r->diags, r->source, BW_P_SEVERAL_DOCUMENTS, at,
                    "a second document begins here; one a file");
        r->given_up = true;
        return;
    }
    r->started = true;
}

static void take(struct reading *r, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        start_document(r, event);
        break;
    case YAML_STREAM_END_EVENT:
        r->ended = true;
        break;
    case YAML_ALIAS_EVENT:
        take_alias(r, event);
        break;
    case YAML_SCALAR_EVENT:
        refuse_anchor(r, event, event->data.scalar.anchor);
        refuse_tag(r, event, event->data.scalar.tag);
        take_scalar(r, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        refuse_anchor(r, event, event->data.sequence_start.anchor);
        refuse_tag(r, event, event->data.sequence_start.tag);
        open_collection(r, BW_YAML_LIST, place(event));
        break;
    case YAML_MAPPING_START_EVENT:
        refuse_anchor(r, event, event->data.mapping_start.anchor);
        refuse_tag(r, event, event->data.mapping_start.tag);
        open_collection(r, BW_YAML_MAP, place(event));
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        close_collection(r);
        break;
    default:
        break;
    }
}

/* libyaml reports encoding errors with mark 0:0 and the byte in problem_offset; bw_text_check has refused
 * those before, so this is for what it lets through and libyaml does not. */
static struct bw_pos place_of_offset(struct bw_view text, size_t offset)
{
    struct bw_pos pos = {1, 1, 1};
    for (size_t at = bw_text_bom(text), bytes; at < text.len && at < offset; at += bytes) {
        bool line = bw_text_code_point(text, at, &bytes) == '\n';
        pos.line += line;
        pos.col = line ? 1 : pos.col + 1;
    }
    return pos;
}

static void report_syntax(struct reading *r)
{
    const yaml_parser_t *parser = &r->parser;
    if (parser->error == YAML_MEMORY_ERROR) {
        give_up_for_memory(r);
        return;
    }
    const char *problem = parser->problem ? parser->problem : "cannot be read";
    if (strcmp(problem, "found character that cannot start any token") == 0)
        problem = "nothing can begin with this character (indent with spaces, not tabs; quote texts that "
                  "begin with "
                  "@, % or `)";
    if (parser->error == YAML_READER_ERROR) {
        size_t offset = parser->problem_offset + bw_text_bom(r->source->text);
        bw_diag_add(r->diags, r->source, BW_P_ENCODING, place_of_offset(r->source->text, offset), "%s",
                    problem);
        return;
    }
    struct bw_pos at = {(uint32_t)parser->problem_mark.line + 1, (uint32_t)parser->problem_mark.column + 1,
                        1};
    struct bw_diag *diag = bw_diag_add(r->diags, r->source, BW_P_SYNTAX, at, "%s", problem);
    if (parser->context && strcmp(parser->context, "while scanning an alias") == 0)
        bw_diag_fix(r->diags, diag, BW_FIX_REPLACE, "\"*\" (in quotes, when everything is meant)");
    const yaml_mark_t *begin = &parser->context_mark;
    if (parser->context &&
        (begin->line != parser->problem_mark.line || begin->column != parser->problem_mark.column))
        bw_diag_relate(r->diags, diag, r->source,
                       (struct bw_pos){(uint32_t)begin->line + 1, (uint32_t)begin->column + 1, 1}, "%s",
                       parser->context);
}

static void read_events(struct reading *r)
{
    while (!r->ended && !r->given_up) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r->parser, &event)) {
            report_syntax(r);
            r->given_up = true;
            return;
        }
        if (++r->stats.events > BW_YAML_MAX_EVENTS) {
            bw_diag_add(r->diags, r->source, BW_P_TOO_MANY, place(&event),
                        "more than %d values and brackets in one document", BW_YAML_MAX_EVENTS);
            r->given_up = true;
        } else {
            take(r, &event);
        }
        yaml_event_delete(&event);
    }
}

/* Directives are refused before libyaml sees them: it compares every %TAG with all before it, so that a file
 * of them costs seconds. A line that begins with % is nothing else at the top of a document. */
static bool refuse_directives(const struct bw_source *source, struct bw_diags *diags)
{
    struct bw_view text = source->text;
    struct bw_pos at = {1, 1, 1};
    for (size_t i = bw_text_bom(text); i < text.len; at.line++) {
        if (text.data[i] == '%') {
            bw_diag_add(diags, source, BW_P_DIRECTIVE, at, "directives (%%YAML, %%TAG) are not used here");
            return true;
        }
        const uint8_t *end = memchr(text.data + i, '\n', text.len - i);
        if (!end)
            break;
        i = (size_t)(end - text.data) + 1;
    }
    return false;
}

struct bw_yaml_node *bw_yaml_read(const struct bw_source *source, struct bw_arena *arena,
                                  struct bw_diags *diags, struct bw_yaml_stats *stats)
{
    struct reading r = {.source = source, .arena = arena, .diags = diags};
    if (source->text.len > BW_YAML_MAX_BYTES) {
        struct bw_source nameless = {source->file, {NULL, 0}};
        bw_diag_add(diags, &nameless, BW_P_TOO_LARGE, (struct bw_pos){0},
                    "%zu bytes; a document has at most %d", source->text.len, BW_YAML_MAX_BYTES);
        return NULL;
    }
    if (!bw_text_check(source, diags) || refuse_directives(source, diags))
        return NULL;
    if (!yaml_parser_initialize(&r.parser)) {
        diags->out_of_memory = true;
        return NULL;
    }
    size_t bom = bw_text_bom(source->text);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, bom ? source->text.data + bom : source->text.data,
                                 source->text.len - bom);
    read_events(&r);
    yaml_parser_delete(&r.parser);
    if (stats)
        *stats = r.stats;
    if (r.given_up)
        return NULL;
    if (!r.root || bw_yaml_is_empty(r.root)) {
        bw_diag_add(diags, source, BW_P_EMPTY_DOCUMENT, (struct bw_pos){1, 1, 1}, "the document is empty");
        return NULL;
    }
    return r.root;
}

const struct bw_yaml_node *bw_yaml_get(const struct bw_yaml_node *map, const char *key)
{
    if (map->kind != BW_YAML_MAP)
        return NULL;
    for (size_t i = 0; i < map->count; i++)
        if (bw_view_equal_str(map->entries[i].key->text, key))
            return map->entries[i].value;
    return NULL;
}

bool bw_yaml_is_empty(const struct bw_yaml_node *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    if (node->kind != BW_YAML_SCALAR || node->quoted)
        return false;
    for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++)
        if (bw_view_equal_str(node->text, nulls[i]))
            return true;
    return false;
}
