/* An index over a FileDescriptorSet: which file has a name, declares a symbol, or declares an extension.
 * Reads no more of the descriptors than names. Threads: immutable but for the marks of
 * bw_descriptors_closure, so one at a time. */
#ifndef BW_GRPC_DESCRIPTORS_H
#define BW_GRPC_DESCRIPTORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

struct bw_descriptors;
struct bw_descriptor_file;

/* `set` is borrowed. NULL and *err: INVALID_ARGUMENT when it is no FileDescriptorSet. */
struct bw_descriptors *bw_descriptors_create(struct bw_view set, struct bw_error *err);
/* NULL is allowed. */
void bw_descriptors_destroy(struct bw_descriptors *descriptors);

/* NULL when there is none. */
struct bw_descriptor_file *bw_descriptors_file(struct bw_descriptors *descriptors, struct bw_view name);
/* Full names without a leading dot: messages, fields, enums and their values, services, methods, extensions.
 */
struct bw_descriptor_file *bw_descriptors_symbol(struct bw_descriptors *descriptors, struct bw_view name);
struct bw_descriptor_file *bw_descriptors_extension(struct bw_descriptors *descriptors,
                                                    struct bw_view extendee, uint32_t number);
/* Calls `number` for every extension of the type; the count of them. */
size_t bw_descriptors_extensions(struct bw_descriptors *descriptors, struct bw_view extendee,
                                 void (*number)(uint32_t number, void *context), void *context);
/* Calls `file` with the encoding of the file and of everything it depends on, the file itself first. */
void bw_descriptors_closure(struct bw_descriptors *descriptors, struct bw_descriptor_file *file,
                            void (*each)(struct bw_view encoded, void *context), void *context);

#endif
