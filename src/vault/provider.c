#include "vault/provider.h"

const char *bw_provider_state_name(enum bw_provider_state state)
{
    switch (state) {
#define X(name, number, code, text)                                                                          \
    case BW_PROVIDER_##name:                                                                                 \
        return #name;
        BW_PROVIDER_STATE_MAP(X)
#undef X
    }
    return "UNKNOWN";
}

enum bw_code bw_provider_state_code(enum bw_provider_state state)
{
    switch (state) {
#define X(name, number, code, text)                                                                          \
    case BW_PROVIDER_##name:                                                                                 \
        return BW_##code;
        BW_PROVIDER_STATE_MAP(X)
#undef X
    }
    return BW_INTERNAL;
}

void bw_provider_describe(struct bw_provider *provider, struct bw_provider_facts *facts)
{
    provider->ops->describe(provider, facts);
}

enum bw_provider_state bw_provider_wrap(struct bw_provider *provider,
                                        const struct bw_provider_context *context,
                                        const uint8_t key[BW_PROVIDER_KEY_SIZE], struct bw_buf *wrapped,
                                        struct bw_error *err)
{
    return provider->ops->wrap(provider, context, key, wrapped, err);
}

enum bw_provider_state bw_provider_unwrap(struct bw_provider *provider,
                                          const struct bw_provider_context *context, struct bw_view wrapped,
                                          uint8_t key[BW_PROVIDER_KEY_SIZE], struct bw_error *err)
{
    return provider->ops->unwrap(provider, context, wrapped, key, err);
}

enum bw_provider_state bw_provider_rewrap(struct bw_provider *provider,
                                          const struct bw_provider_context *context, struct bw_view wrapped,
                                          struct bw_buf *rewrapped, bool *changed, struct bw_error *err)
{
    return provider->ops->rewrap(provider, context, wrapped, rewrapped, changed, err);
}

enum bw_provider_state bw_provider_probe(struct bw_provider *provider, struct bw_error *err)
{
    return provider->ops->probe(provider, err);
}

void bw_provider_destroy(struct bw_provider *provider)
{
    if (provider != NULL)
        provider->ops->destroy(provider);
}
