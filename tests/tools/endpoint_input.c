#include "endpoint_input.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static bool from_hex(const char *text, size_t len, uint8_t *out, size_t room, size_t *written)
{
    if (len % 2 != 0 || len / 2 > room)
        return false;
    for (size_t i = 0; i < len / 2; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], '\0'}, *end;
        out[i] = (uint8_t)strtoul(pair, &end, 16);
        if (!isxdigit((unsigned char)pair[0]) || *end != '\0')
            return false;
    }
    *written = len / 2;
    return true;
}

static int sextet(char c)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (c == '-')
        c = '+';
    if (c == '_')
        c = '/';
    const char *found = c != '\0' ? strchr(alphabet, c) : NULL;
    return found != NULL ? (int)(found - alphabet) : -1;
}

static bool from_base64(const char *text, size_t len, uint8_t *out, size_t room, size_t *written)
{
    while (len > 0 && text[len - 1] == '=')
        len--;
    uint32_t bits = 0;
    unsigned held = 0;
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int value = sextet(text[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            if (n == room)
                return false;
            out[n++] = (uint8_t)(bits >> held);
        }
    }
    *written = n;
    return true;
}

static bool read_file(const char *path, char *out, size_t room)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        perror(path);
        return false;
    }
    size_t n = fread(out, 1, room - 1, file);
    fclose(file);
    while (n > 0 && isspace((unsigned char)out[n - 1]))
        n--;
    out[n] = '\0';
    return true;
}

/* Given or in a file, hexadecimal or base64. A text that is both is hexadecimal. */
static bool take_bytes(const char *text, uint8_t *out, size_t room, size_t *written, const char *what)
{
    char content[8192];
    if (text[0] == '@') {
        if (!read_file(text + 1, content, sizeof content))
            return false;
        text = content;
    }
    size_t len = strlen(text);
    if (from_hex(text, len, out, room, written) || from_base64(text, len, out, room, written))
        return true;
    fprintf(stderr, "bailiwick-endpoint: the %s is neither hexadecimal nor base64, or too long\n", what);
    return false;
}

bool endpoint_input_grant(struct endpoint_input *input, const char *text)
{
    return take_bytes(text, input->grant, sizeof input->grant, &input->grant_len, "grant");
}

bool endpoint_input_hop_key(struct endpoint_input *input, const char *text)
{
    size_t len = 0;
    if (!take_bytes(text, input->hop_key, sizeof input->hop_key, &len, "hop key"))
        return false;
    input->has_hop_key = len == sizeof input->hop_key;
    if (!input->has_hop_key)
        fprintf(stderr, "bailiwick-endpoint: the hop key has %zu bytes, not %zu\n", len,
                sizeof input->hop_key);
    return input->has_hop_key;
}

bool endpoint_input_json(struct endpoint_input *input, FILE *stream)
{
    json_error_t error;
    json_t *root = json_loadf(stream, 0, &error);
    if (root == NULL) {
        fprintf(stderr, "bailiwick-endpoint: the input is not JSON: line %d: %s\n", error.line, error.text);
        return false;
    }
    const json_t *inner = json_object_get(root, "admission");
    const json_t *admission = inner != NULL ? inner : root;
    const char *address = json_string_value(json_object_get(admission, "mediaAddress"));
    const char *grant = json_string_value(json_object_get(admission, "grant"));
    const char *key = json_string_value(json_object_get(admission, "hopKey"));
    bool ok = address != NULL && grant != NULL && key != NULL;
    if (!ok)
        fprintf(stderr, "bailiwick-endpoint: the input has no mediaAddress, grant and hopKey\n");
    if (ok && input->relay[0] == '\0')
        snprintf(input->relay, sizeof input->relay, "%s", address);
    ok = ok && endpoint_input_grant(input, grant) && endpoint_input_hop_key(input, key);
    json_decref(root);
    return ok;
}
