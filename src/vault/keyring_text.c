#include "vault/keyring_text.h"

#include <string.h>

#include "base/secret.h"
#include "crypto/hkdf.h"

enum { HEX_SIZE = 2 * BW_PROVIDER_KEY_SIZE };

/* One place in the text, for the words of an error. */
struct place {
    const char *where;
    unsigned line;
};

static enum bw_code bad(const struct place *place, struct bw_error *err, const char *what)
{
    return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "%s:%u: %s", place->where, place->line, what);
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Takes the next word off the line; empty at its end. */
static struct bw_view word(struct bw_view *line)
{
    size_t start = 0, end;
    while (start < line->len && is_blank(line->data[start]))
        start++;
    for (end = start; end < line->len && !is_blank(line->data[end]);)
        end++;
    struct bw_view found = bw_view_of(line->data + start, end - start);
    *line = bw_view_of(line->data + end, line->len - end);
    return found;
}

static bool good_name(struct bw_view name)
{
    if (name.len == 0 || name.len > BW_KEYRING_NAME_MAX || name.data[0] == '-')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return true;
}

static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool read_key(struct bw_view hex, uint8_t key[BW_PROVIDER_KEY_SIZE])
{
    if (hex.len != HEX_SIZE)
        return false;
    for (size_t i = 0; i < BW_PROVIDER_KEY_SIZE; i++) {
        int high = digit(hex.data[2 * i]), low = digit(hex.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        key[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* A key of one repeated byte is a placeholder somebody forgot to replace. */
static bool is_placeholder(const uint8_t key[BW_PROVIDER_KEY_SIZE])
{
    uint8_t difference = 0;
    for (size_t i = 1; i < BW_PROVIDER_KEY_SIZE; i++)
        difference |= key[i] ^ key[0];
    return difference == 0;
}

static void set_root(struct bw_keyring_root *root, struct bw_view name,
                     const uint8_t key[BW_PROVIDER_KEY_SIZE])
{
    memcpy(root->name, name.data, name.len);
    root->name[name.len] = '\0';
    bw_hkdf256_extract(bw_view_str("bw-kek/v1"), bw_view_of(key, BW_PROVIDER_KEY_SIZE), root->prk);
    bw_hkdf256_expand(root->prk, bw_view_str("bw-root-id/v1"), root->id, sizeof root->id);
}

static enum bw_code add(struct bw_keyring_roots *roots, const struct bw_keyring_root *root,
                        const struct place *place, struct bw_error *err)
{
    if (roots->count == BW_KEYRING_KEYS_MAX)
        return bad(place, err, "too many keys; drop those whose data are rewrapped or gone");
    for (size_t i = 0; i < roots->count; i++) {
        if (strcmp(roots->roots[i].name, root->name) == 0)
            return bad(place, err, "a second key of this name; each needs its own");
        if (memcmp(roots->roots[i].id, root->id, sizeof root->id) == 0)
            return bad(place, err, "the same key as in an earlier line, under another name");
    }
    roots->roots[roots->count++] = *root;
    return BW_OK;
}

/* NAME HEX [active] */
static enum bw_code read_line(struct bw_view line, const struct place *place, struct bw_keyring_roots *roots,
                              bool *has_active, struct bw_error *err)
{
    const uint8_t *comment = line.len > 0 ? memchr(line.data, '#', line.len) : NULL;
    if (comment != NULL)
        line.len = (size_t)(comment - line.data);
    struct bw_view name = word(&line), hex = word(&line), flag = word(&line);
    if (name.len == 0)
        return BW_OK;
    if (!good_name(name))
        return bad(place, err, "a line is NAME KEY [active]; a name has a-z, 0-9 and -, at most 63 of them");
    if (word(&line).len > 0 || (flag.len > 0 && !bw_view_equal_str(flag, "active")))
        return bad(place, err, "what follows the key is either nothing or `active`");
    bool active = flag.len > 0;
    if (active && *has_active)
        return bad(place, err, "a second active key; exactly one wraps new keys");

    uint8_t key[BW_PROVIDER_KEY_SIZE];
    struct bw_keyring_root root;
    if (!read_key(hex, key)) {
        bw_wipe(key, sizeof key);
        return bad(place, err, "a key is 64 hexadecimal digits; `openssl rand -hex 32` makes one");
    }
    bool placeholder = is_placeholder(key);
    set_root(&root, name, key);
    bw_wipe(key, sizeof key);
    enum bw_code code = placeholder
                            ? bad(place, err, "this key is a placeholder; `openssl rand -hex 32` makes one")
                            : add(roots, &root, place, err);
    bw_wipe(&root, sizeof root);
    if (code == BW_OK && active) {
        *has_active = true;
        roots->active = roots->count - 1;
    }
    return code;
}

enum bw_code bw_keyring_read(struct bw_view text, const char *where, struct bw_keyring_roots *roots,
                             struct bw_error *err)
{
    struct place place = {.where = where};
    bool has_active = false;
    while (text.len > 0) {
        place.line++;
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.data) : text.len;
        enum bw_code code = read_line(bw_view_of(text.data, len), &place, roots, &has_active, err);
        if (code != BW_OK)
            return code;
        size_t taken = len < text.len ? len + 1 : len;
        text = bw_view_of(text.data + taken, text.len - taken);
    }
    if (roots->count == 0)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                       "%s: no key in this keyring; a line is NAME KEY [active]", where);
    if (!has_active)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                       "%s: no key is active; put `active` behind the one that wraps new keys", where);
    return BW_OK;
}

enum bw_code bw_keyring_new(const char *name, const uint8_t key[BW_PROVIDER_KEY_SIZE], struct bw_buf *text,
                            struct bw_error *err)
{
    static const char digits[] = "0123456789abcdef";
    char hex[HEX_SIZE + 1];
    if (!good_name(bw_view_str(name)))
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a key's name has a-z, 0-9 and -, at most %d of them",
                       BW_KEYRING_NAME_MAX);
    if (is_placeholder(key))
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "this key is not random");
    /* Room for all of it at once: a buffer that grows would leave a copy of the key behind. */
    if (!bw_buf_reserve(text, strlen(name) + 512))
        return bw_fail_memory(err);
    for (size_t i = 0; i < BW_PROVIDER_KEY_SIZE; i++) {
        hex[2 * i] = digits[key[i] >> 4];
        hex[2 * i + 1] = digits[key[i] & 15];
    }
    hex[HEX_SIZE] = '\0';
    bw_buf_append_str(
        text, "# Root keys of the metadata vault: NAME KEY [active]. Whoever reads this file can read all\n"
              "# metadata; without it nobody can. Keep a copy where the database's backups are not.\n");
    bw_buf_append_str(text, name);
    bw_buf_append_str(text, " ");
    bw_buf_append_str(text, hex);
    bw_buf_append_str(text, " active\n");
    bw_wipe(hex, sizeof hex);
    return BW_OK;
}
