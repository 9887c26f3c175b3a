#include "geo/geo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <maxminddb.h>

#include "base/alloc.h"
#include "base/check.h"

enum { MAX_FILE_BYTES = 1 << 30, MAX_TREE_DEPTH = 128, MAX_NODES_PROBED = 1 << 14 };

struct bw_geo {
    atomic_uint references;
    MMDB_s db;
    struct stat file; /* what the source was when it was read */
    char *path;
};

static enum bw_code fail_file(struct bw_error *err, const char *path, int number)
{
    enum bw_code code = BW_UNAVAILABLE;
    if (number == ENOENT || number == ENOTDIR)
        code = BW_NOT_FOUND;
    else if (number == EACCES || number == EPERM)
        code = BW_PERMISSION_DENIED;
    else if (number == ENOMEM)
        code = BW_RESOURCE_EXHAUSTED;
    return bw_fail(err, code, NULL, "cannot read the location database %s: %s", path, strerror(number));
}

static enum bw_code fail_content(struct bw_error *err, const char *path, const char *what)
{
    return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                   "%s is not usable as a location database: %s; give a MaxMind-format file with countries, "
                   "such as a Country or City database",
                   path, what);
}

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* 0, or an errno. */
static int copy_bytes(int from, int to)
{
    char chunk[64 * 1024];
    size_t total = 0;
    for (;;) {
        ssize_t n = read(from, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return 0;
        total += (size_t)n;
        if (total > MAX_FILE_BYTES)
            return EFBIG;
        if (!write_all(to, chunk, (size_t)n))
            return errno;
    }
}

/* A sealed copy of the file in memory as *copy, the caller's to close; *file says what was copied. A mapping
 * of the file itself would raise SIGBUS once somebody truncates it. */
static enum bw_code copy_sealed(const char *path, int *copy, struct stat *file, struct bw_error *err)
{
    int from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (from < 0)
        return fail_file(err, path, errno);
    enum bw_code code = BW_OK;
    int to = -1;
    struct stat st;
    if (fstat(from, &st) != 0) {
        code = fail_file(err, path, errno);
    } else if (!S_ISREG(st.st_mode)) {
        code = fail_content(err, path, "it is not a regular file");
    } else if (st.st_size > MAX_FILE_BYTES) {
        code = fail_content(err, path, "it is larger than 1 GiB");
    } else if ((to = memfd_create("bailiwick-geo", MFD_CLOEXEC | MFD_ALLOW_SEALING)) < 0) {
        code = fail_file(err, path, errno);
    } else {
        int number = copy_bytes(from, to);
        if (number == 0 &&
            fcntl(to, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
            number = errno;
        if (number != 0)
            code = fail_file(err, path, number);
    }
    close(from);
    if (code != BW_OK) {
        if (to >= 0)
            close(to);
        return code;
    }
    *copy = to;
    *file = st;
    return BW_OK;
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* The country a record names as where the address is. `registered_country` is where its holder is, which is
 * not the question. */
static struct bw_geo_country country_of(const MMDB_entry_s *record)
{
    struct bw_geo_country country = {{0}};
    MMDB_entry_s entry = *record;
    MMDB_entry_data_s data;
    int status = MMDB_get_value(&entry, &data, "country", "iso_code", (char *)NULL);
    if (status == MMDB_SUCCESS && data.has_data && data.type == MMDB_DATA_TYPE_UTF8_STRING &&
        data.data_size == 2 && is_upper(data.utf8_string[0]) && is_upper(data.utf8_string[1])) {
        country.code[0] = data.utf8_string[0];
        country.code[1] = data.utf8_string[1];
    }
    return country;
}

/* Whether the database holds a country anywhere: walks its tree depth first until a record has one. A
 * database of something else would make every address unknown without a word. */
static bool holds_countries(const MMDB_s *db)
{
    uint32_t pending[2 * MAX_TREE_DEPTH + 1] = {0};
    size_t count = 1; /* the root, node 0 */
    for (unsigned probed = 0; count > 0 && probed < MAX_NODES_PROBED; probed++) {
        MMDB_search_node_s node;
        if (MMDB_read_node(db, pending[--count], &node) != MMDB_SUCCESS)
            return false;
        const struct {
            uint64_t record;
            uint8_t type;
            const MMDB_entry_s *entry;
        } sides[2] = {{node.left_record, node.left_record_type, &node.left_record_entry},
                      {node.right_record, node.right_record_type, &node.right_record_entry}};
        for (size_t i = 0; i < BW_ARRAY_LEN(sides); i++) {
            if (sides[i].type == MMDB_RECORD_TYPE_DATA && bw_geo_known(country_of(sides[i].entry)))
                return true;
            if (sides[i].type == MMDB_RECORD_TYPE_SEARCH_NODE && count < BW_ARRAY_LEN(pending))
                pending[count++] = (uint32_t)sides[i].record;
        }
    }
    return false;
}

enum bw_code bw_geo_open(const char *path, struct bw_geo **geo, struct bw_error *err)
{
    struct bw_geo *opened = bw_calloc(1, sizeof *opened);
    char *kept_path = bw_strdup(path);
    if (!opened || !kept_path) {
        bw_free(opened);
        bw_free(kept_path);
        return bw_fail_memory(err);
    }
    opened->path = kept_path;
    int copy = -1;
    enum bw_code code = copy_sealed(path, &copy, &opened->file, err);
    if (code == BW_OK) {
        char name[64];
        snprintf(name, sizeof name, "/proc/self/fd/%d", copy);
        int status = MMDB_open(name, MMDB_MODE_MMAP, &opened->db);
        close(copy);
        if (status == MMDB_OUT_OF_MEMORY_ERROR) {
            code = bw_fail_memory(err);
        } else if (status != MMDB_SUCCESS) {
            code = fail_content(err, path, MMDB_strerror(status));
        } else if (!holds_countries(&opened->db)) {
            code = fail_content(err, path, "it holds no countries");
            MMDB_close(&opened->db);
        }
    }
    if (code != BW_OK) {
        bw_free(kept_path);
        bw_free(opened);
        return code;
    }
    atomic_init(&opened->references, 1);
    *geo = opened;
    return BW_OK;
}

struct bw_geo *bw_geo_ref(struct bw_geo *geo)
{
    atomic_fetch_add_explicit(&geo->references, 1, memory_order_relaxed);
    return geo;
}

void bw_geo_unref(struct bw_geo *geo)
{
    if (!geo || atomic_fetch_sub_explicit(&geo->references, 1, memory_order_acq_rel) != 1)
        return;
    MMDB_close(&geo->db);
    bw_free(geo->path);
    bw_free(geo);
}

enum bw_code bw_geo_reload(struct bw_geo *geo, struct bw_geo **fresh, struct bw_error *err)
{
    struct stat now;
    if (stat(geo->path, &now) == 0 && now.st_dev == geo->file.st_dev && now.st_ino == geo->file.st_ino &&
        now.st_size == geo->file.st_size && now.st_mtim.tv_sec == geo->file.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == geo->file.st_mtim.tv_nsec) {
        *fresh = bw_geo_ref(geo);
        return BW_OK;
    }
    return bw_geo_open(geo->path, fresh, err);
}

static MMDB_lookup_result_s lookup_v4(const struct bw_geo *geo, const void *network_order)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    memcpy(&address.sin_addr, network_order, sizeof address.sin_addr);
    int status;
    return MMDB_lookup_sockaddr(&geo->db, (const struct sockaddr *)&address, &status);
}

static MMDB_lookup_result_s lookup_v6(const struct bw_geo *geo, const struct in6_addr *v6)
{
    if (IN6_IS_ADDR_V4MAPPED(v6))
        return lookup_v4(geo, v6->s6_addr + 12);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = *v6};
    int status;
    return MMDB_lookup_sockaddr(&geo->db, (const struct sockaddr *)&address, &status);
}

struct bw_geo_country bw_geo_country(const struct bw_geo *geo, const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    /* A lookup that fails finds no entry: a damaged record is as unknown as a missing one. */
    MMDB_lookup_result_s found = {.found_entry = false};
    if (inet_pton(AF_INET, address, &v4) == 1)
        found = lookup_v4(geo, &v4);
    else if (inet_pton(AF_INET6, address, &v6) == 1)
        found = lookup_v6(geo, &v6);
    return found.found_entry ? country_of(&found.entry) : (struct bw_geo_country){{0}};
}

bool bw_geo_known(struct bw_geo_country country)
{
    return country.code[0] != '\0';
}

const char *bw_geo_path(const struct bw_geo *geo)
{
    return geo->path;
}

const char *bw_geo_type(const struct bw_geo *geo)
{
    return geo->db.metadata.database_type;
}

uint64_t bw_geo_built_unix_s(const struct bw_geo *geo)
{
    return geo->db.metadata.build_epoch;
}
