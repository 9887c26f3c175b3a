#include "runtime/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

static enum bw_code fail_errno(struct bw_error *err, const char *path, const char *what)
{
    int number = errno;
    enum bw_code code = BW_INTERNAL;
    if (number == ENOENT || number == ENOTDIR)
        code = BW_NOT_FOUND;
    else if (number == EACCES || number == EPERM || number == EROFS)
        code = BW_PERMISSION_DENIED;
    else if (number == EEXIST)
        code = BW_ALREADY_EXISTS;
    return bw_fail(err, code, NULL, "%s: %s: %s", path, what, strerror(number));
}

static enum bw_code read_open(int fd, const char *path, size_t max_bytes, struct bw_buf *out,
                              struct bw_error *err)
{
    /* One byte more than allowed tells "full" from "too large"; the size in stat may change under us. */
    if (!bw_buf_reserve(out, max_bytes + 1))
        return bw_fail_memory(err);
    size_t before = out->len, got = 0;
    while (got <= max_bytes) {
        ssize_t n = read(fd, out->data + before + got, max_bytes + 1 - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(err, path, "cannot read");
        if (n == 0)
            break;
        got += (size_t)n;
    }
    if (got > max_bytes)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "%s: larger than the %zu bytes it may have", path,
                       max_bytes);
    out->len = before + got;
    return BW_OK;
}

static enum bw_code check_private(const struct stat *info, const char *path, struct bw_error *err)
{
    mode_t others = info->st_mode & (S_IRWXG | S_IRWXO);
    if (info->st_uid == 0 && geteuid() != 0)
        others &= (mode_t)~S_IRGRP;
    if (others == 0)
        return BW_OK;
    return bw_fail(err, BW_PERMISSION_DENIED, NULL,
                   "%s: mode %04o lets others at this private key; run: chmod 600 %s", path,
                   (unsigned)(info->st_mode & 07777), path);
}

static enum bw_code read_file(const char *path, bool secret, size_t max_bytes, struct bw_buf *out,
                              struct bw_error *err)
{
    /* Not blocking: opening a FIFO must not wait for somebody to write. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail_errno(err, path, "cannot open");
    struct stat info;
    enum bw_code code = BW_OK;
    if (fstat(fd, &info) != 0)
        code = fail_errno(err, path, "cannot examine");
    else if (!S_ISREG(info.st_mode))
        code = bw_fail(err, BW_INVALID_ARGUMENT, NULL, "%s: not a regular file", path);
    else if (secret)
        code = check_private(&info, path, err);
    if (code == BW_OK)
        code = read_open(fd, path, max_bytes, out, err);
    close(fd);
    return code;
}

enum bw_code bw_file_read(const char *path, size_t max_bytes, struct bw_buf *out, struct bw_error *err)
{
    return read_file(path, false, max_bytes, out, err);
}

enum bw_code bw_file_read_secret(const char *path, size_t max_bytes, struct bw_buf *out, struct bw_error *err)
{
    return read_file(path, true, max_bytes, out, err);
}

static bool write_all(int fd, struct bw_view content)
{
    while (content.len > 0) {
        ssize_t n = write(fd, content.data, content.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        content.data += n;
        content.len -= (size_t)n;
    }
    return true;
}

static bool sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[4096] = ".";
    if (slash != NULL) {
        size_t len = slash == path ? 1 : (size_t)(slash - path);
        if (len >= sizeof folder) {
            errno = ENAMETOOLONG;
            return false;
        }
        memcpy(folder, path, len);
        folder[len] = '\0';
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = fsync(fd) == 0;
    int kept = errno;
    close(fd);
    errno = kept;
    return ok;
}

/* The content goes to a temporary name beside the target and is linked into place when it is on disk: link,
 * unlike rename, never replaces what is there. */
enum bw_code bw_file_create(const char *path, mode_t mode, struct bw_view content, struct bw_error *err)
{
    size_t size = strlen(path) + 32;
    char *temporary = bw_malloc(size);
    if (temporary == NULL)
        return bw_fail_memory(err);
    snprintf(temporary, size, "%s.%ld.new", path, (long)getpid());
    enum bw_code code = BW_OK;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) {
        code = fail_errno(err, path, "cannot create");
        bw_free(temporary);
        return code;
    }
    /* open() took the umask out of the mode; fchmod gives exactly what was asked for. */
    if (fchmod(fd, mode) != 0 || !write_all(fd, content) || fsync(fd) != 0)
        code = fail_errno(err, path, "cannot write");
    close(fd);
    if (code == BW_OK && link(temporary, path) != 0)
        code = fail_errno(err, path, errno == EEXIST ? "exists and is left as it is" : "cannot create");
    bool made = code == BW_OK;
    unlink(temporary);
    if (made && !sync_folder_of(path)) {
        code = fail_errno(err, path, "cannot bring to disk");
        unlink(path);
    }
    bw_free(temporary);
    return code;
}
