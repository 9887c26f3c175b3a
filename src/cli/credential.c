#include "cli/credential.h"

#include <string.h>
#include <unistd.h>

#include "cli/base64.h"
#include "crypto/csr.h"
#include "runtime/file.h"

/* The body of the first block of PEM text, as bytes in the arena. */
static int pem_to_der(struct bw_cli *cli, struct bw_view pem, const char *where, struct bw_view *der)
{
    static const char begin[] = "-----BEGIN", end[] = "-----END";
    const char *text = bw_arena_strndup(cli->arena, (const char *)pem.data, pem.len);
    if (text == NULL)
        return bw_cli_memory(cli);
    const char *start = strstr(text, begin);
    start = start != NULL ? strchr(start, '\n') : NULL;
    const char *stop = start != NULL ? strstr(start, end) : NULL;
    struct bw_buf bytes = {0};
    bool good = stop != NULL && bw_base64_decode(bw_view_of(start, (size_t)(stop - start)), &bytes);
    const uint8_t *copy = good ? bw_arena_memdup(cli->arena, bytes.data, bytes.len) : NULL;
    *der = bw_view_of(copy, bytes.len);
    bw_buf_finish(&bytes);
    if (copy == NULL)
        return bw_cli_say(cli, BW_EXIT_USAGE, "%s: no certificate request in PEM or DER form", where);
    return BW_EXIT_OK;
}

/* Refuses what the cell would refuse, with the file's name. */
static int use_request(struct bw_cli *cli, struct bw_view csr, const char *where, struct bw_view *der)
{
    struct evp_pkey_st *key = NULL;
    struct bw_error err = {0};
    if (bw_csr_public_key(csr, where, &key, &err) != BW_OK)
        return bw_cli_say(cli, BW_EXIT_USAGE, "%s", err.show);
    bw_key_destroy(key);
    if (csr.len > 0 && csr.data[0] == 0x30) { /* a SEQUENCE: DER already */
        *der = csr;
        return BW_EXIT_OK;
    }
    return pem_to_der(cli, csr, where, der);
}

static int must_be_new(struct bw_cli *cli, const char *path)
{
    if (path == NULL || access(path, F_OK) != 0)
        return BW_EXIT_OK;
    return bw_cli_say(cli, BW_EXIT_CONFLICT, "%s exists already; nothing is overwritten: name another file",
                      path);
}

static int make_key(struct bw_cli *cli, const char *common_name, struct bw_credential *credential)
{
    struct bw_buf csr = {0};
    struct bw_error err = {0};
    if (bw_csr_create_with_key(BW_KEY_P256, common_name, &credential->key_pem, &csr, &err) != BW_OK)
        return bw_cli_fail(cli, &err);
    int result = pem_to_der(cli, bw_buf_view(&csr), "the new request", &credential->csr_der);
    bw_buf_finish(&csr);
    return result;
}

int bw_credential_prepare(struct bw_cli *cli, const char *common_name, struct bw_credential *credential)
{
    const char *csr = bw_args_text(cli->args, "csr");
    *credential = (struct bw_credential){
        .key_path = bw_args_text(cli->args, "new-key"),
        .certificate_path = bw_args_text(cli->args, "out"),
    };
    if (csr != NULL && credential->key_path != NULL)
        return bw_cli_say(cli, BW_EXIT_USAGE, "--csr and --new-key exclude each other");
    if (csr == NULL && credential->key_path == NULL) {
        if (credential->certificate_path != NULL || bw_args_given(cli->args, "days"))
            return bw_cli_say(cli, BW_EXIT_USAGE, "a certificate wants --new-key OUT.key or --csr FILE");
        return BW_EXIT_OK;
    }
    int result = must_be_new(cli, credential->key_path);
    if (result == BW_EXIT_OK)
        result = must_be_new(cli, credential->certificate_path);
    if (result != BW_EXIT_OK)
        return result;
    if (credential->key_path != NULL)
        return make_key(cli, common_name, credential);
    struct bw_view text;
    result = bw_cli_read(cli, csr, BW_PEM_MAX, &text);
    return result == BW_EXIT_OK ? use_request(cli, text, bw_cli_file_name(csr), &credential->csr_der)
                                : result;
}

int bw_credential_store(struct bw_cli *cli, const struct bw_credential *credential, const char *certificate)
{
    struct bw_error err = {0};
    if (credential->key_path != NULL) {
        if (bw_file_create(credential->key_path, 0600, bw_buf_view(&credential->key_pem), &err) != BW_OK)
            return bw_cli_fail(cli, &err);
        bw_cli_note(cli, "wrote %s", credential->key_path);
    }
    if (credential->certificate_path == NULL) {
        fputs(certificate, cli->out);
        return BW_EXIT_OK;
    }
    if (bw_file_create(credential->certificate_path, 0644, bw_view_str(certificate), &err) != BW_OK) {
        /* It was issued and must not be lost. */
        fputs(certificate, cli->out);
        return bw_cli_fail(cli, &err);
    }
    bw_cli_note(cli, "wrote %s", credential->certificate_path);
    return BW_EXIT_OK;
}

void bw_credential_finish(struct bw_credential *credential)
{
    bw_pem_finish_secret(&credential->key_pem);
}
