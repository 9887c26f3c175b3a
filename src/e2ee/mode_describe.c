#include "base/check.h"
#include "e2ee/mode.h"

static const struct {
    enum bw_mode_effect effect;
    const char *words;
} effect_words[] = {
    {BW_MODE_ANNOUNCE, "announce"},
    {BW_MODE_EVICT_SUBJECT, "remove this participant"},
    {BW_MODE_EVICT_PLAIN, "remove those without e2ee"},
    {BW_MODE_REMOVE_CONNECTORS, "remove connectors"},
    {BW_MODE_ASK_CONSENT, "ask for consent"},
    {BW_MODE_NEW_EPOCH, "new mode epoch"},
    {BW_MODE_ADMIT, "admit"},
    {BW_MODE_REFUSE, "refuse"},
    {BW_MODE_CANCEL, "cancel what is pending"},
    {BW_MODE_BEGIN_RAISE, "raise once they are gone"},
    {BW_MODE_STOP, "end the meeting"},
};

static void describe_effects(const struct bw_machine_row *row, struct bw_buf *out)
{
    uint32_t effects = bw_mode_row_effects(row);
    const char *separator = "";
    if (effects == 0)
        bw_buf_append_str(out, "nothing");
    for (size_t i = 0; i < BW_ARRAY_LEN(effect_words); i++) {
        if ((effects & (uint32_t)effect_words[i].effect) == 0)
            continue;
        bw_buf_printf(out, "%s%s", separator, effect_words[i].words);
        separator = ", ";
    }
    if (effects & BW_MODE_REFUSE)
        bw_buf_printf(out, " `%s`", bw_mode_row_refusal(row));
}

static void describe_mode(int mode, struct bw_buf *out)
{
    const struct bw_machine *machine = &bw_mode_machine;
    bw_buf_printf(out, "\n## In mode %s\n\n", machine->states[mode]);
    bw_buf_append_str(out, "| event | when | next | effects |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < machine->row_count; i++) {
        const struct bw_machine_row *row = &machine->rows[i];
        if (row->state != mode)
            continue;
        bool again = i > 0 && row[-1].state == row->state && row[-1].event == row->event;
        const char *guard = bw_mode_row_guard(row);
        if (guard[0] == '\0')
            guard = again ? "otherwise" : "always";
        bw_buf_printf(out, "| %s | %s | %s | ", machine->events[row->event], guard,
                      machine->states[row->next]);
        describe_effects(row, out);
        bw_buf_append_str(out, " |\n");
    }
}

static void describe_diagram(struct bw_buf *out)
{
    const struct bw_machine *machine = &bw_mode_machine;
    bool drawn[BW_MODE_COUNT][BW_MODE_COUNT] = {{false}};
    bw_buf_append_str(out, "\n```mermaid\nflowchart LR\n");
    for (int mode = BW_MODE_E2EE; mode < BW_MODE_COUNT; mode++)
        bw_buf_printf(out, "    m%d[\"%s\"]\n", mode, machine->states[mode]);
    for (size_t i = 0; i < machine->row_count; i++) {
        const struct bw_machine_row *row = &machine->rows[i];
        if (row->state == row->next || drawn[row->state][row->next])
            continue;
        drawn[row->state][row->next] = true;
        bw_buf_printf(out, "    m%d -->|\"", row->state);
        const char *separator = "";
        int last = -1;
        for (size_t k = i; k < machine->row_count; k++) {
            const struct bw_machine_row *other = &machine->rows[k];
            if (other->state != row->state || other->next != row->next || other->event == last)
                continue;
            bw_buf_printf(out, "%s%s", separator, machine->events[other->event]);
            separator = ", ";
            last = other->event;
        }
        bw_buf_printf(out, "\"| m%d\n", row->next);
    }
    bw_buf_append_str(out, "```\n");
}

void bw_mode_describe(struct bw_buf *out)
{
    bw_buf_append_str(
        out,
        "# Modes of end-to-end encryption\n\n"
        "This page is printed from the table that runs (`src/e2ee/mode.c`); a test keeps them equal.\n"
        "The first row of an event whose condition holds is taken. Effects happen in the order given, so\n"
        "everyone hears of a change before it is in force. Counts are those after the event.\n");
    describe_diagram(out);
    for (int mode = BW_MODE_E2EE; mode < BW_MODE_COUNT; mode++)
        describe_mode(mode, out);
}
