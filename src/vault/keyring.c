#include "vault/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/secret.h"
#include "crypto/gcm.h"
#include "crypto/hkdf.h"
#include "crypto/secure.h"
#include "runtime/file.h"
#include "runtime/random.h"
#include "vault/keyring_text.h"

/* A wrapped key: version, id of the root key, nonce, the key, tag. */
enum {
    VERSION = 1,
    WRAPPED_SIZE = 1 + BW_KEYRING_ROOT_ID_SIZE + BW_GCM_NONCE_SIZE + BW_PROVIDER_KEY_SIZE + BW_GCM_TAG_SIZE,
    SCOPE_SIZE = 8,
    CONTEXT_SIZE = 16 + SCOPE_SIZE + 4 + 16,
};

struct keyring {
    struct bw_provider provider;
    struct bw_gcm *gcm;
    struct bw_keyring_roots *roots; /* secret */
};

static struct keyring *self(struct bw_provider *provider)
{
    return (struct keyring *)(void *)provider;
}

static void describe(struct bw_provider *provider, struct bw_provider_facts *facts)
{
    const struct bw_keyring_roots *roots = self(provider)->roots;
    *facts = (struct bw_provider_facts){.kind = "keyring", .keys = (uint32_t)roots->count};
    snprintf(facts->active, sizeof facts->active, "%s", roots->roots[roots->active].name);
}

static void write_context(const struct bw_provider_context *context, uint8_t out[CONTEXT_SIZE])
{
    struct bw_writer w = bw_writer_of(out, CONTEXT_SIZE);
    bw_write_bytes(&w, context->tenant.bytes, sizeof context->tenant.bytes);
    bw_write_bytes(&w, context->scope, sizeof context->scope);
    bw_write_u32(&w, context->day);
    bw_write_bytes(&w, context->key.bytes, sizeof context->key.bytes);
}

/* The key-encryption key of a tenant and scope; never stored. */
static void derive_kek(const struct bw_keyring_root *root, const struct bw_provider_context *context,
                       uint8_t kek[BW_GCM_KEY_SIZE])
{
    uint8_t info[sizeof context->tenant.bytes + SCOPE_SIZE];
    memcpy(info, context->tenant.bytes, sizeof context->tenant.bytes);
    memcpy(info + sizeof context->tenant.bytes, context->scope, SCOPE_SIZE);
    bw_hkdf256_expand(root->prk, bw_view_of(info, sizeof info), kek, BW_GCM_KEY_SIZE);
}

static enum bw_provider_state wrap(struct bw_provider *provider, const struct bw_provider_context *context,
                                   const uint8_t key[BW_PROVIDER_KEY_SIZE], struct bw_buf *wrapped,
                                   struct bw_error *err)
{
    struct keyring *keyring = self(provider);
    const struct bw_keyring_root *root = &keyring->roots->roots[keyring->roots->active];
    uint8_t kek[BW_GCM_KEY_SIZE], aad[CONTEXT_SIZE], nonce[BW_GCM_NONCE_SIZE], sealed[BW_PROVIDER_KEY_SIZE],
        tag[BW_GCM_TAG_SIZE];
    if (!bw_buf_reserve(wrapped, WRAPPED_SIZE)) {
        (void)bw_fail_memory(err);
        return BW_PROVIDER_TRANSIENT;
    }
    write_context(context, aad);
    derive_kek(root, context, kek);
    bw_random_bytes(nonce, sizeof nonce);
    enum bw_code code = bw_gcm_seal(keyring->gcm, kek, nonce, bw_view_of(aad, sizeof aad),
                                    bw_view_of(key, BW_PROVIDER_KEY_SIZE), sealed, tag, err);
    bw_wipe(kek, sizeof kek);
    if (code != BW_OK)
        return BW_PROVIDER_TRANSIENT;
    bw_buf_append_u8(wrapped, VERSION);
    bw_buf_append(wrapped, root->id, sizeof root->id);
    bw_buf_append(wrapped, nonce, sizeof nonce);
    bw_buf_append(wrapped, sealed, sizeof sealed);
    bw_buf_append(wrapped, tag, sizeof tag);
    return BW_PROVIDER_OK;
}

static enum bw_provider_state corrupt(struct bw_error *err, const char *what)
{
    (void)bw_fail(err, BW_DATA_LOSS, "KEY_UNAVAILABLE", "a wrapped key %s", what);
    return BW_PROVIDER_CORRUPT;
}

/* The root key that a wrapped key names; NULL when it is not in the file. */
static const struct bw_keyring_root *root_of(const struct bw_keyring_roots *roots, struct bw_view id)
{
    for (size_t i = 0; i < roots->count; i++)
        if (bw_view_equal(id, bw_view_of(roots->roots[i].id, sizeof roots->roots[i].id)))
            return &roots->roots[i];
    return NULL;
}

static enum bw_provider_state unwrap(struct bw_provider *provider, const struct bw_provider_context *context,
                                     struct bw_view wrapped, uint8_t key[BW_PROVIDER_KEY_SIZE],
                                     struct bw_error *err)
{
    struct keyring *keyring = self(provider);
    struct bw_reader r = bw_reader_of(wrapped);
    if (wrapped.len != WRAPPED_SIZE || bw_read_u8(&r) != VERSION)
        return corrupt(err, "is not one of this keyring's");
    const struct bw_keyring_root *root = root_of(keyring->roots, bw_read_bytes(&r, BW_KEYRING_ROOT_ID_SIZE));
    if (root == NULL) {
        (void)bw_fail(err, BW_NOT_FOUND, "KEY_UNAVAILABLE",
                      "a key is wrapped with a root key that is not in the keyring; put that line back");
        return BW_PROVIDER_GONE;
    }
    struct bw_view nonce = bw_read_bytes(&r, BW_GCM_NONCE_SIZE),
                   sealed = bw_read_bytes(&r, BW_PROVIDER_KEY_SIZE), tag = bw_read_bytes(&r, BW_GCM_TAG_SIZE);
    uint8_t kek[BW_GCM_KEY_SIZE], aad[CONTEXT_SIZE], made[BW_PROVIDER_KEY_SIZE];
    write_context(context, aad);
    derive_kek(root, context, kek);
    enum bw_code code =
        bw_gcm_open(keyring->gcm, kek, nonce.data, bw_view_of(aad, sizeof aad), sealed, tag.data, made, err);
    bw_wipe(kek, sizeof kek);
    if (code == BW_DATA_LOSS)
        return corrupt(err, "was changed, or belongs elsewhere");
    if (code != BW_OK)
        return BW_PROVIDER_TRANSIENT;
    memcpy(key, made, sizeof made);
    bw_wipe(made, sizeof made);
    return BW_PROVIDER_OK;
}

static enum bw_provider_state rewrap(struct bw_provider *provider, const struct bw_provider_context *context,
                                     struct bw_view wrapped, struct bw_buf *rewrapped, bool *changed,
                                     struct bw_error *err)
{
    const struct bw_keyring_roots *roots = self(provider)->roots;
    uint8_t key[BW_PROVIDER_KEY_SIZE];
    enum bw_provider_state state = unwrap(provider, context, wrapped, key, err);
    if (state != BW_PROVIDER_OK)
        return state;
    const struct bw_keyring_root *active = &roots->roots[roots->active];
    bool differs = memcmp(wrapped.data + 1, active->id, sizeof active->id) != 0;
    if (differs)
        state = wrap(provider, context, key, rewrapped, err);
    bw_wipe(key, sizeof key);
    if (state == BW_PROVIDER_OK)
        *changed = differs;
    return state;
}

static enum bw_provider_state probe(struct bw_provider *provider, struct bw_error *err)
{
    const struct bw_provider_context context = {.day = 1};
    uint8_t key[BW_PROVIDER_KEY_SIZE], back[BW_PROVIDER_KEY_SIZE];
    struct bw_buf wrapped = {0};
    bw_random_bytes(key, sizeof key);
    enum bw_provider_state state = wrap(provider, &context, key, &wrapped, err);
    if (state == BW_PROVIDER_OK)
        state = unwrap(provider, &context, bw_buf_view(&wrapped), back, err);
    if (state == BW_PROVIDER_OK && memcmp(key, back, sizeof key) != 0)
        state = corrupt(err, "did not come back the same");
    bw_buf_finish(&wrapped);
    return state;
}

static void destroy(struct bw_provider *provider)
{
    struct keyring *keyring = self(provider);
    bw_gcm_destroy(keyring->gcm);
    bw_secure_free(keyring->roots, sizeof *keyring->roots);
    bw_free(keyring);
}

static const struct bw_provider_ops ops = {describe, wrap, unwrap, rewrap, probe, destroy};

/* The states of what reading a file and setting up can answer. */
static enum bw_provider_state state_of(enum bw_code code)
{
    switch (code) {
    case BW_OK:
        return BW_PROVIDER_OK;
    case BW_NOT_FOUND:
        return BW_PROVIDER_GONE;
    case BW_PERMISSION_DENIED:
        return BW_PROVIDER_DENIED;
    case BW_INVALID_ARGUMENT:
    case BW_FAILED_PRECONDITION:
        return BW_PROVIDER_CONFIG;
    default:
        return BW_PROVIDER_TRANSIENT;
    }
}

enum bw_provider_state bw_keyring_parse(struct bw_view text, const char *where, struct bw_provider **out,
                                        struct bw_error *err)
{
    struct keyring *keyring = bw_calloc(1, sizeof *keyring);
    if (keyring == NULL)
        return state_of(bw_fail_memory(err));
    keyring->provider.ops = &ops;
    keyring->roots = bw_secure_alloc(sizeof *keyring->roots);
    enum bw_code code = keyring->roots == NULL ? bw_fail_memory(err) : BW_OK;
    if (code == BW_OK)
        code = bw_keyring_read(text, where, keyring->roots, err);
    if (code == BW_OK)
        code = bw_gcm_create(&keyring->gcm, err);
    if (code != BW_OK) {
        destroy(&keyring->provider);
        return state_of(code);
    }
    *out = &keyring->provider;
    return BW_PROVIDER_OK;
}

/* "credential:NAME" becomes the path that systemd gave it; anything else is one already. */
static enum bw_code resolve(const char *path, char *out, size_t size, struct bw_error *err)
{
    static const char prefix[] = "credential:";
    if (strncmp(path, prefix, sizeof prefix - 1) != 0) {
        if ((size_t)snprintf(out, size, "%s", path) >= size)
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "the keyring's path is too long");
        return BW_OK;
    }
    const char *name = path + sizeof prefix - 1, *folder = getenv("CREDENTIALS_DIRECTORY");
    if (*name == '\0' || strchr(name, '/') != NULL || *name == '.')
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "%s: want credential:NAME, without a path", path);
    if (folder == NULL || *folder == '\0')
        return bw_fail(
            err, BW_FAILED_PRECONDITION, NULL,
            "%s: there is no CREDENTIALS_DIRECTORY; give the unit LoadCredential=%s:FILE, or a path", path,
            name);
    if ((size_t)snprintf(out, size, "%s/%s", folder, name) >= size)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "the keyring's path is too long");
    return BW_OK;
}

enum bw_provider_state bw_keyring_open(const char *path, struct bw_provider **out, struct bw_error *err)
{
    char resolved[4096];
    enum bw_code code = resolve(path, resolved, sizeof resolved, err);
    if (code != BW_OK)
        return state_of(code);
    struct bw_buf text = {0};
    code = bw_file_read_secret(resolved, BW_KEYRING_FILE_MAX, &text, err);
    enum bw_provider_state state =
        code == BW_OK ? bw_keyring_parse(bw_buf_view(&text), resolved, out, err) : state_of(code);
    if (text.data != NULL)
        bw_wipe(text.data, text.cap);
    bw_buf_finish(&text);
    return state;
}
