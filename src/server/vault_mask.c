#include "server/vault_mask.h"

#include <stdio.h>
#include <string.h>

/* The first letter and the domain; a letter outside ASCII would have to be cut. */
static struct bw_view masked_user(struct bw_view user, struct bw_vault_masked *storage)
{
    const uint8_t *at = user.len > 0 ? memchr(user.data, '@', user.len) : NULL;
    size_t local = at != NULL ? (size_t)(at - user.data) : user.len;
    bool first = local > 1 && user.data[0] > 0x20 && user.data[0] < 0x7f;
    int n =
        snprintf(storage->user, sizeof storage->user, "%.*s***%.*s", first ? 1 : 0, (const char *)user.data,
                 at != NULL ? (int)(user.len - local) : 0, at != NULL ? (const char *)at : "");
    return bw_view_of(storage->user, (size_t)n < sizeof storage->user ? (size_t)n : sizeof storage->user - 1);
}

static struct bw_view masked_address(struct bw_view address, struct bw_vault_masked *storage)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    /* An IPv4 address in IPv6's clothes has its network where IPv6 has none. */
    if (address.len == 16 && memcmp(address.data, mapped, sizeof mapped) == 0)
        address = bw_view_of(address.data + 12, 4);
    if (address.len != 4 && address.len != 16)
        return (struct bw_view){NULL, 0};
    size_t kept = address.len == 4 ? 3 : 6;
    memset(storage->address, 0, sizeof storage->address);
    memcpy(storage->address, address.data, kept);
    return bw_view_of(storage->address, address.len);
}

uint32_t bw_vault_mask(struct bw_roster_entry *entry, enum bw_vault_role role, struct bw_view own,
                       uint32_t number, struct bw_vault_masked *storage)
{
    uint32_t masked = 0;
    bool wide = role == BW_VAULT_ROLE_TIER2 || role == BW_VAULT_ROLE_TENANT_ADMIN;
    bool theirs = own.len > 0 && bw_view_equal(own, entry->user);
    if (!wide && !theirs) {
        int n = snprintf(storage->user, sizeof storage->user, "participant %u", number);
        entry->user = bw_view_of(storage->user, (size_t)n);
        masked |= UINT32_C(1) << BW_ROSTER_TAG_USER;
        if (entry->address.len > 0)
            masked |= UINT32_C(1) << BW_ROSTER_TAG_ADDRESS;
        entry->address = (struct bw_view){NULL, 0};
        return masked;
    }
    if (entry->user.len > 0) {
        entry->user = masked_user(entry->user, storage);
        masked |= UINT32_C(1) << BW_ROSTER_TAG_USER;
    }
    if (entry->address.len > 0) {
        entry->address = masked_address(entry->address, storage);
        masked |= UINT32_C(1) << BW_ROSTER_TAG_ADDRESS;
    }
    return masked;
}
