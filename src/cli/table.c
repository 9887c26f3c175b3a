/* Tables by libsmartcols. */
#include <libsmartcols.h>
#include <string.h>

#include "cli/output.h"

static bool is_shown(const struct bw_cli *cli, const struct bw_column *column)
{
    return cli->output == BW_OUTPUT_WIDE || !column->wide;
}

static bool fill_line(struct bw_cli *cli, struct libscols_line *line, const json_t *item,
                      const struct bw_column *columns, size_t count)
{
    size_t shown = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_shown(cli, &columns[i]))
            continue;
        struct bw_buf text = {0};
        bw_cell_text(item, &columns[i], &text);
        const char *cell = bw_buf_cstr(&text);
        bool ok = cell != NULL && scols_line_set_data(line, shown, cell) == 0;
        bw_buf_finish(&text);
        if (!ok)
            return false;
        shown++;
    }
    return true;
}

static bool fill_table(struct bw_cli *cli, struct libscols_table *table, const json_t *items,
                       const struct bw_column *columns, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_shown(cli, &columns[i]) && scols_table_new_column(table, columns[i].title, 0, 0) == NULL)
            return false;
    size_t i;
    const json_t *item;
    json_array_foreach(items, i, item)
    {
        struct libscols_line *line = scols_table_new_line(table, NULL);
        if (line == NULL || !fill_line(cli, line, item, columns, count))
            return false;
    }
    return true;
}

int bw_show_table(struct bw_cli *cli, const json_t *items, const struct bw_column *columns, size_t count)
{
    if (json_array_size(items) == 0) {
        bw_cli_note(cli, "none");
        return BW_EXIT_OK;
    }
    struct libscols_table *table = scols_new_table();
    if (table == NULL)
        return bw_cli_memory(cli);
    scols_table_set_stream(table, cli->out);
    /* A row is a line, however narrow the terminal: what is cut cannot be copied. */
    scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
    scols_table_set_column_separator(table, "  ");
    bool ok = fill_table(cli, table, items, columns, count) && scols_print_table(table) == 0;
    scols_unref_table(table);
    return ok ? BW_EXIT_OK : bw_cli_memory(cli);
}
