/* Small files that matter: configuration and keys, read whole at start-up, and new ones written so that they
 * are either there completely or not at all. Blocking: for start-up and the command line, never on a busy
 * loop. Threads: any. */
#ifndef BW_RUNTIME_FILE_H
#define BW_RUNTIME_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/status.h"

/* Appends the whole of a regular file of at most max_bytes. NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT
 * (no regular file, too large), RESOURCE_EXHAUSTED, INTERNAL; each names the file. */
BW_MUST_USE enum bw_code bw_file_read(const char *path, size_t max_bytes, struct bw_buf *out,
                                      struct bw_error *err);
/* As bw_file_read for a private key: PERMISSION_DENIED when others could read it too. Reading through the
 * group is accepted for a file of root's when we are not root, which is how systemd credentials and
 * Kubernetes secrets arrive. The buffer does not grow while it is read, so wiping it leaves no copy. */
BW_MUST_USE enum bw_code bw_file_read_secret(const char *path, size_t max_bytes, struct bw_buf *out,
                                             struct bw_error *err);
/* Makes a new file with exactly this mode and content, on disk (file and folder) when it returns.
 * ALREADY_EXISTS, and the file that is there is untouched; PERMISSION_DENIED, NOT_FOUND (no such folder),
 * INTERNAL; nothing is left behind. */
BW_MUST_USE enum bw_code bw_file_create(const char *path, mode_t mode, struct bw_view content,
                                        struct bw_error *err);

#endif
